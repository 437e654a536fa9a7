"""Every request leaves one line in the log and one count in the metrics; neither holds what a client sent.

The line names the client's address in its canonical form: not a character of a header gets into it.
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
    from sealward.http.metrics import Metrics

log = logging.getLogger("sealward.access")

NOWHERE: Final = "none"
"""The route of a request that has none: paths that clients make up are no label."""
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"))


@dataclass(frozen=True, slots=True)
class Answered(logs.Message):
    """What was answered; as text, a line for eyes."""

    method: str
    route: str
    status: int
    seconds: float
    client: str
    """The client's address: the peer's, or what a trusted proxy says."""

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.status}, {self.seconds * 1000:.1f} ms, {self.client}"


class AccessLog:
    """Names the request in the log while it is answered, then says what was answered."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin: from here on messages have the request's ids."""
        del resp
        req.context.began = time.perf_counter()
        logs.begin(request_id=req.context.request_id, global_request_id=req.context.global_request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: object
    ) -> None:
        """Count it and log it, whatever became of it."""
        del resource, succeeded
        began = req.context.get("began") or time.perf_counter()  # Falcon refuses some before it begins
        seconds = time.perf_counter() - began
        method = req.method if req.method in METHODS else "other"
        route = req.uri_template or NOWHERE
        self._metrics.answered(method, route, resp.status_code, seconds)
        log.info(Answered(method, route, resp.status_code, seconds, client_of(req).address))
        logs.begin()


def client_of(req: falcon.Request) -> Client:
    """Return who asks, by address: the listener has found it out."""
    client: Client | None = req.env.get("sealward.client")
    return client_at(req.remote_addr) if client is None else client
