"""The webhooks: URLs that events are sent to, and the log of the attempts."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import falcon
import msgspec

from sealward.control.webhooks import signing
from sealward.control.webhooks.destination import AddressRefused, UrlRefused, destination
from sealward.control.webhooks.webhooks import KEPT, NoSuchWebhook, TooManyWebhooks, Webhook, Webhooks
from sealward.events import values
from sealward.events.wire.codec import EVENTS
from sealward.http.auth.access import GOVERNS, PROOF, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import AskedId, Id, Position, Time, Uuid, answer
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import CANONICAL, LIMIT, Query

if TYPE_CHECKING:
    from sealward.http.services import Services

SHOWN: Final = 100
"""Attempts that are shown when no limit is given."""
UNKNOWN: Final = {404: (NoSuchWebhook.code,)}
BAD: Final = {
    400: ("parameter.bad-choice",),
    409: (UrlRefused.code, AddressRefused.code, TooManyWebhooks.code),
}
LIST: Final = Rule("webhook:list", "Show webhooks and the log of their deliveries, without secrets.", PROOF)
CHANGE: Final = Rule("webhook:change", "Make, change and remove webhooks.", GOVERNS)

URL: Final = r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:[/?][!\"$-~]*)?"
Url = Annotated[
    str,
    values.Text(2048, URL, "a URL as https://hooks.example/path, without a user in it"),
    msgspec.Meta(extra_json_schema={"pattern": f"^{URL}$", "maxLength": 2048}),
]
Topic = Annotated[
    str, values.Text(64, "[!-~]+", "a topic"), msgspec.Meta(extra_json_schema={"enum": sorted(EVENTS)})
]
Topics = Annotated[tuple[Topic, ...], values.Entries(100)]


AskedServer = Annotated[
    values.ServerId, msgspec.Meta(extra_json_schema={"pattern": f"^{CANONICAL.pattern}$"})
]


class Format(StrEnum):
    """The format of the body of a request."""

    CLOUDEVENTS = "cloudevents"
    OCSF = "ocsf"
    CEF = "cef"
    CADF = "cadf"


class NewWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook to make. Without `after` it gets the events from now on.

    `types`, `server_id` and `node_id` say which events.
    """

    url: Url
    format: Format = Format.CLOUDEVENTS
    types: Topics = ()
    server_id: AskedServer | None = None
    node_id: AskedId | None = None
    after: AskedId | None = None


class From(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position of the log: events beyond it are sent, also those that were sent before."""

    after: Annotated[float, msgspec.Meta(ge=0, le=10**15, multiple_of=1)]


class WebhookShown(msgspec.Struct, frozen=True):
    """A webhook. `position` is that of the last event delivered or not wanted.

    `disabled` says why nothing is sent: `gone`, `unreached`, or null for a webhook in use.
    """

    id: Uuid
    url: str
    format: Format
    types: tuple[str, ...]
    server_id: Uuid | None
    node_id: Id | None
    created_by: str
    created_at: Time
    position: Position
    failures: int
    next_at: Time | None
    disabled: str | None


class WebhookAnswer(msgspec.Struct, frozen=True):
    """A webhook."""

    webhook: WebhookShown


class WebhookMade(msgspec.Struct, frozen=True):
    """A webhook and its secret, which is shown this once."""

    webhook: WebhookShown
    secret: str


class WebhookList(msgspec.Struct, frozen=True):
    """All webhooks, the oldest first."""

    webhooks: list[WebhookShown]


class Attempt(msgspec.Struct, frozen=True):
    """An attempt to deliver an event, with the receiver's HTTP status, or the error where it gave none."""

    position: Position
    event_id: Uuid
    attempt: int
    at: Time
    status: int | None
    error: str | None
    milliseconds: int


class AttemptList(msgspec.Struct, frozen=True):
    """Attempts, the newest first; a thousand are kept."""

    deliveries: list[Attempt]


class WebhookCalls:
    """`/webhook` and the paths below it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def _webhooks(self) -> Webhooks:
        return self._services.webhooks

    def operations(self) -> list[Operation]:
        """Return the calls."""
        one, made = {200: Answer(WebhookAnswer)}, {200: Answer(WebhookMade)}
        create = {201: Answer(WebhookMade, headers=("Location",))}
        path = "/webhook/{webhook_id}"
        return [
            Operation("GET", "/webhook", self.list, {200: Answer(WebhookList)}, rule=LIST),
            Operation(
                "POST",
                "/webhook",
                self.create,
                create,
                rule=CHANGE,
                body=NewWebhook,
                refuses=BAD,
            ),
            Operation("GET", path, self.show, one, rule=LIST, refuses=UNKNOWN),
            Operation("DELETE", path, self.remove, {204: Answer()}, rule=CHANGE, refuses=UNKNOWN),
            Operation("POST", f"{path}/secret", self.rotate, made, rule=CHANGE, refuses=UNKNOWN),
            Operation("PUT", f"{path}/position", self.resume, one, rule=CHANGE, body=From, refuses=UNKNOWN),
            Operation(
                "GET",
                f"{path}/delivery",
                self.deliveries,
                {200: Answer(AttemptList)},
                rule=LIST,
                query=(LIMIT,),
                refuses=UNKNOWN,
            ),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the webhooks."""
        del req
        answer(resp, WebhookList([_shown(one) for one in self._webhooks.all()]))

    def create(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a webhook; the answer alone has its secret."""
        asked: NewWebhook = req.context.body
        for topic in asked.types:
            if topic not in EVENTS:
                raise Problem(400, "parameter.bad-choice", f"types: no event is called {topic!r}.")
        self._check(asked.url)
        made = Webhook(
            id=str(uuid.uuid4()),
            url=asked.url,
            format=asked.format,
            topics=asked.types,
            server_id=asked.server_id,
            node_id=None if asked.node_id is None else int(asked.node_id),
            created_by=context_of(req).actor,
            created_at=self._services.clock(),
            position=self._services.store.head() if asked.after is None else int(asked.after),
            failures=0,
            failing_since=None,
            next_at=None,
            disabled=None,
            secret=signing.new_secret(),
            earlier_secret=None,
            earlier_until=None,
        )
        self._webhooks.add(made)
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"/v1/webhook/{made.id}")
        answer(resp, WebhookMade(_shown(made), made.secret))

    def _check(self, url: str) -> None:
        """Check a URL as far as it can be checked now. Raises UrlRefused, AddressRefused.

        A name that cannot be resolved now is checked when an event is sent.
        """
        parts = destination(url)
        try:
            self._services.webhook_networks.addresses(parts)
        except OSError:
            return

    def show(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """Show a webhook."""
        del req
        answer(resp, WebhookAnswer(_shown(self._webhooks.one(webhook_id))))

    def remove(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """Remove a webhook and the log of its deliveries."""
        del req
        self._webhooks.remove(webhook_id)
        resp.status = falcon.HTTP_204

    def rotate(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """Give a webhook a new secret. For a day requests are signed with the earlier secret, too."""
        del req
        secret = self._webhooks.rotate(webhook_id, self._services.clock())
        answer(resp, WebhookMade(_shown(self._webhooks.one(webhook_id)), secret))

    def resume(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """Go on after a position: replay events, pass over an event, or use a disabled webhook again."""
        asked: From = req.context.body
        self._webhooks.resume(webhook_id, int(asked.after))
        self.show(req, resp, webhook_id)

    def deliveries(self, req: falcon.Request, resp: falcon.Response, webhook_id: str) -> None:
        """List the last attempts to deliver events, the newest first."""
        query: Query = req.context.query
        limit = query.get(LIMIT)
        self._webhooks.one(webhook_id)
        found = self._webhooks.deliveries(webhook_id, SHOWN if limit is None else min(limit, KEPT))
        answer(
            resp,
            AttemptList(
                [
                    Attempt(
                        one.position,
                        one.event_id,
                        one.attempt,
                        one.at.isoformat(),
                        one.status,
                        one.error,
                        one.milliseconds,
                    )
                    for one in found
                ]
            ),
        )


def _shown(one: Webhook) -> WebhookShown:
    return WebhookShown(
        one.id,
        one.url,
        Format(one.format),
        one.topics,
        one.server_id,
        one.node_id,
        one.created_by,
        one.created_at.isoformat(),
        one.position,
        one.failures,
        None if one.next_at is None else one.next_at.isoformat(),
        one.disabled,
    )
