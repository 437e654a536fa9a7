"""The Falcon application: routes, with and without /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from sealward.http import errors
from sealward.http.auth import Authentication, RequestId
from sealward.http.event import Events
from sealward.http.identity import NoClaims
from sealward.http.node import NodeAction, Nodes
from sealward.http.schema import Schemas
from sealward.http.server import Servers
from sealward.http.sign import Sign, Signs
from sealward.http.task import Task
from sealward.http.version import Healthcheck, Versions

if TYPE_CHECKING:
    from sealward.http.door import Door


def create_app(door: Door) -> falcon.App[Any, Any]:
    """Return the WSGI application."""
    app: falcon.App[Any, Any] = falcon.App()
    app.add_middleware([NoClaims(), RequestId(), Authentication(door.identify, door.policy)])
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    errors.register(app)
    app.add_route("/", Versions())
    app.add_route("/healthcheck", Healthcheck(door))
    sign, nodes, events, schemas = Sign(door), Nodes(door), Events(door), Schemas()
    for prefix in ("/v1", ""):
        app.add_route(f"{prefix}/sign", Signs(door))
        app.add_route(f"{prefix}/sign/{{server_id}}", sign)
        for suffix in ("validate", "verdict", "envelope", "events"):
            app.add_route(f"{prefix}/sign/{{server_id}}/{suffix}", sign, suffix=suffix)
        app.add_route(f"{prefix}/sign/node/{{node_id}}/action", NodeAction(door))
        app.add_route(f"{prefix}/events", events)
        app.add_route(f"{prefix}/schema", schemas)
        app.add_route(f"{prefix}/schema/{{topic}}", schemas, suffix="one")
        app.add_route(f"{prefix}/node", nodes)
        app.add_route(f"{prefix}/node/{{node_id}}", nodes, suffix="one")
        app.add_route(f"{prefix}/server", Servers(door))
        app.add_route(f"{prefix}/task/{{task_id}}", Task(door))
    return app
