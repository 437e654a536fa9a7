"""The errors of the API: each has a message with advice, a stable code, and the id of the request."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import falcon
import msgspec

from sealward.commands import errors as refusals
from sealward.commands.writer.handler import TooMuchContention
from sealward.control.webhooks.destination import AddressRefused, UrlRefused
from sealward.control.webhooks.webhooks import NoSuchWebhook, TooManyWebhooks
from sealward.events.store.store import StoreUnavailable
from sealward.http.operation.request_id import name
from sealward.projections.past import PastBusy

if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 2
"""Seconds after which a client may try again when the store is away or contended."""

STATUS: Final[dict[type[refusals.Rejected], int]] = {
    refusals.StreamUnreadable: 409,
    refusals.AlreadySigned: 409,
    refusals.NotSigned: 404,
    refusals.Changed: 412,
    refusals.NotRegistered: 404,
    refusals.NodeExists: 409,
    refusals.NodeHasSigns: 409,
    refusals.NodeNotLost: 409,
    refusals.PlaceUnconfirmed: 409,
    refusals.NotThere: 409,
    refusals.FirmwareUnknown: 404,
    refusals.FirmwareIsAnother: 409,
    TooMuchContention: 503,
    NoSuchWebhook: 404,
    TooManyWebhooks: 409,
    UrlRefused: 409,
    AddressRefused: 409,
}
"""The HTTP status of refusals of commands; a refusal that is not listed has 400."""

FALCON: Final = {404: "path.not-found", 405: "method.not-allowed", 400: "request.malformed"}
"""Stable codes of the errors that Falcon itself raises, by status."""


class Error(msgspec.Struct, frozen=True):
    """An error. `message` says what is wrong and what to do about it; `reason` is a stable code."""

    code: int
    title: str
    message: str
    reason: str
    request_id: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """A request that was refused: nothing was written."""

    error: Error


class Problem(Exception):
    """A request that cannot be answered: status, reason (a stable code), message and headers of the error."""

    def __init__(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers or {}


def register(app: falcon.App[Any, Any]) -> None:
    """Have the application answer every error in this form."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(StoreUnavailable, _store_away)
    app.add_error_handler(PastBusy, _past_busy)
    app.add_error_handler(falcon.HTTPError, _of_falcon)
    app.add_error_handler(refusals.Rejected, _rejected)
    app.add_error_handler(Problem, _problem)


def _answer(req: falcon.Request, resp: falcon.Response, status: int, reason: str, message: str) -> None:
    error = Error(
        status, HTTPStatus(status).phrase, message, reason, name(req, resp)
    )  # Falcon refuses some unnamed
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(ErrorAnswer(error))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        resp.set_header("Retry-After", str(RETRY_AFTER))


def _problem(req: falcon.Request, resp: falcon.Response, problem: Problem, _params: object) -> None:
    resp.set_headers(problem.headers)
    _answer(req, resp, problem.status, problem.reason, problem.message)


def _rejected(req: falcon.Request, resp: falcon.Response, refused: refusals.Rejected, _: object) -> None:
    _answer(req, resp, STATUS.get(type(refused), 400), refused.code, str(refused))


def _of_falcon(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: object) -> None:
    resp.set_headers(error.headers or {})
    status = error.status_code
    message = error.description or {
        404: "There is nothing at this path; / lists the paths.",
        405: f"{req.method} is not possible here; the Allow header says what is.",
    }.get(status, error.title or "The request cannot be answered.")
    _answer(req, resp, status, FALCON.get(status, "request.refused"), message)


def _store_away(req: falcon.Request, resp: falcon.Response, error: StoreUnavailable, _params: object) -> None:
    log.error("the store does not answer: %s (%s)", error, req.context.request_id, extra={"away": error.part})
    _answer(req, resp, 503, "store.unavailable", "The store does not answer now; try again in a moment.")


def _past_busy(req: falcon.Request, resp: falcon.Response, error: PastBusy, _params: object) -> None:
    message = "Another question about the past is being answered; try again in a moment."
    _answer(req, resp, 503, error.code, message)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, _params: object) -> None:
    log.error("%s %s failed (%s)", req.method, req.uri_template, req.context.request_id, exc_info=error)
    message = "Something failed inside Sealward; its log says more under this request id."
    _answer(req, resp, 500, "internal", message)
