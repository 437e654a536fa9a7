"""The Falcon application: every call of the API, with and without /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import falcon

from sealward.http.auth.authentication import Authentication, Authorization
from sealward.http.auth.identity import NoClaims
from sealward.http.doubt import Doubts
from sealward.http.enforcement import Policies
from sealward.http.event import Events
from sealward.http.health import Healthcheck
from sealward.http.history import History
from sealward.http.limits.limits import Bounded
from sealward.http.listening.traffic import Traffic
from sealward.http.membership import Membership
from sealward.http.metrics import Metrics
from sealward.http.move import Moves
from sealward.http.node import Nodes
from sealward.http.operation import errors
from sealward.http.operation.access_log import Access
from sealward.http.operation.openapi import Description
from sealward.http.operation.operation import Methods, Operation, routes
from sealward.http.operation.request_id import RequestId
from sealward.http.schema import Schemas
from sealward.http.server import Servers
from sealward.http.sign import Signs
from sealward.http.task import Tasks
from sealward.http.verdict import Verdicts
from sealward.http.version import Versions

if TYPE_CHECKING:
    from sealward.control.monitoring import Monitor
    from sealward.http.door import Door


def create_app(door: Door) -> falcon.App[Any, Any]:
    """Return the WSGI application."""
    app: falcon.App[Any, Any] = falcon.App()
    metrics = Metrics(door.monitor, door.traffic, public=door.metrics_public)
    app.add_middleware([NoClaims(), RequestId()])
    authentication = Authentication(door.identify, door.limits)
    authorization = Authorization(door.policy)
    app.add_middleware([Access(metrics), authentication, Methods(), authorization, Bounded(door.limits)])
    app.add_sink(authentication.nowhere)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    errors.register(app)
    made = operations(door, metrics)
    for template, route in routes([*made, *Description(made).operations()]).items():
        app.add_route(template, route)
    return app


def calls() -> list[Operation]:
    """Return every call of the API as it is described, wherever the API runs; none can be made."""
    door, monitor = cast("Door", None), cast("Monitor", None)
    return operations(door, Metrics(monitor, Traffic(), public=True))


def description() -> Description:
    """Return the OpenAPI document of the API, wherever the API runs."""
    return Description(calls())


def operations(door: Door, metrics: Metrics) -> list[Operation]:
    """Return every call of the API."""
    nodes = Nodes(door)
    resources = (
        Versions(door),
        Healthcheck(door),
        metrics,
        Signs(door),
        Doubts(door),
        Verdicts(door),
        Moves(door),
        History(door),
        nodes,
        Membership(nodes),
        Policies(door),
        Servers(door),
        Tasks(door),
        Events(door),
        Schemas(),
    )
    return [one for resource in resources for one in resource.operations()]
