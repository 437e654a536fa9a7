"""Writes a line in the log and counts a metric for each request.

Neither contains anything that a client sent.

The line names the client's address in its canonical form, so that no character of a header gets into it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward import logs
from sealward.http.listening.client import client_at

if TYPE_CHECKING:
    import falcon

    from sealward.http.listening.client import Client
    from sealward.http.monitoring.metrics import Metrics

log = logging.getLogger("sealward.access")

NOWHERE: Final = "none"
"""The route of requests for unknown paths: a path that a client makes up must not become a label."""
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"))


@dataclass(frozen=True, slots=True)
class Answered(logs.Message):
    """An answer as a message of the log. Its text is a readable line."""

    method: str
    route: str
    status: int
    seconds: float
    client: str
    """The client's address: that of the connected peer, or an address that a trusted proxy names."""

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.status}, {self.seconds * 1000:.1f} ms, {self.client}"


class AccessLog:
    """Adds the request's ids to the log's context while the request is answered, then logs the answer."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin the log's context, so that messages from here on have the request's ids."""
        del resp
        req.context.began = time.perf_counter()
        logs.begin(request_id=req.context.request_id, global_request_id=req.context.global_request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: object
    ) -> None:
        """Count and log the answer, with any status."""
        del resource, succeeded
        began = req.context.get("began") or time.perf_counter()  # Falcon refuses some before it begins
        seconds = time.perf_counter() - began
        method = req.method if req.method in METHODS else "other"
        route = req.uri_template or NOWHERE
        self._metrics.answered(method, route, resp.status_code, seconds)
        log.info(Answered(method, route, resp.status_code, seconds, client_of(req).address))
        logs.begin()


def client_of(req: falcon.Request) -> Client:
    """Return the client of a request, as the listener found it out."""
    client: Client | None = req.env.get("sealward.client")
    return client_at(req.remote_addr) if client is None else client
