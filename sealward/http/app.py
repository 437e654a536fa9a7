"""The Falcon application: every call of the API, with and without /v1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import falcon

from sealward.http.auth.authentication import Authentication, Authorization
from sealward.http.auth.identity import Bearer, NoClaims
from sealward.http.doubt import Doubts
from sealward.http.history import History
from sealward.http.limits.limits import Bounded
from sealward.http.listening.traffic import Traffic
from sealward.http.log.event import Events
from sealward.http.log.schema import Schemas
from sealward.http.log.tlog import TransparencyLog
from sealward.http.membership import Membership
from sealward.http.monitoring.health import Healthcheck
from sealward.http.monitoring.metrics import Metrics
from sealward.http.move import Moves
from sealward.http.node import Nodes
from sealward.http.operation import errors
from sealward.http.operation.access_log import AccessLog
from sealward.http.operation.openapi import Description
from sealward.http.operation.operation import Methods, Operation, routes
from sealward.http.operation.request_id import RequestId
from sealward.http.policy import Policies
from sealward.http.report.report import Reports
from sealward.http.server import Servers
from sealward.http.sign import Signs
from sealward.http.task import Tasks
from sealward.http.verdict import Verdicts
from sealward.http.version import Versions
from sealward.http.webhook import WebhookCalls

if TYPE_CHECKING:
    from sealward.control.monitoring import Monitor
    from sealward.http.services import Services


def create_app(services: Services) -> falcon.App[Any, Any]:
    """Return the WSGI application."""
    app: falcon.App[Any, Any] = falcon.App()
    metrics = Metrics(services.monitor, services.traffic, public=services.metrics_public)
    app.add_middleware([NoClaims(), Bearer(), RequestId()])
    authentication = Authentication(services.identify, services.limits)
    authorization = Authorization(services.access_rules)
    app.add_middleware(
        [AccessLog(metrics), authentication, Methods(), authorization, Bounded(services.limits)]
    )
    app.add_sink(authentication.nowhere)
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    errors.register(app)
    made = operations(services, metrics)
    for template, route in routes([*made, *Description(made).operations()]).items():
        app.add_route(template, route)
    return app


def described_calls() -> list[Operation]:
    """Return the description of every call of the API, without a running API: the calls cannot be made."""
    services, monitor = cast("Services", None), cast("Monitor", None)
    return operations(services, Metrics(monitor, Traffic(), public=True))


def description() -> Description:
    """Return the OpenAPI document of the API, without a running API."""
    return Description(described_calls())


def operations(services: Services, metrics: Metrics) -> list[Operation]:
    """Return every call of the API, each described by the resource that handles it."""
    nodes = Nodes(services)
    resources = (
        Versions(services),
        Healthcheck(services),
        metrics,
        Signs(services),
        Doubts(services),
        Verdicts(services),
        Moves(services),
        Reports(services),
        History(services),
        nodes,
        Membership(nodes),
        Policies(services),
        Servers(services),
        Tasks(services),
        Events(services),
        TransparencyLog(services),
        WebhookCalls(services),
        Schemas(),
    )
    return [one for resource in resources for one in resource.operations()]
