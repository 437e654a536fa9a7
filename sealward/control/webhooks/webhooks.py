"""The webhooks, their positions and the log of their deliveries, in the control plane's own tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sealward.commands.errors import Rejected
from sealward.control.webhooks import signing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.control.database import ControlDatabase
    from sealward.control.webhooks.sending import Outcome

MOST: Final = 100
"""Webhooks, at most."""
OVERLAP: Final = timedelta(days=1)
"""How long requests are signed with the secret of before as well, after the secret was replaced."""
KEPT: Final = 1000
"""Deliveries that the log keeps for each webhook."""
ERROR_MOST: Final = 500


class TooManyWebhooks(Rejected):
    """There are a hundred webhooks already. Delete a webhook first."""

    code = "webhook.too-many"


class NoSuchWebhook(Rejected):
    """There is no webhook with that id."""

    code = "webhook.not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook. `topics`, `server_id` and `node_id` are its filter; empty or None stands for all."""

    id: str
    url: str
    format: str
    topics: tuple[str, ...]
    server_id: str | None
    node_id: int | None
    created_by: str
    created_at: datetime
    position: int
    """All events up to this position are delivered or not wanted."""
    failures: int
    """Failed attempts in a row to deliver the next event."""
    failing_since: datetime | None
    next_at: datetime | None
    """No attempt is made before this time; None for at once."""
    disabled: str | None
    """Why nothing is sent; None for a webhook in use."""
    secret: str
    earlier_secret: str | None
    earlier_until: datetime | None

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign a request now."""
        if self.earlier_secret is None or self.earlier_until is None or now >= self.earlier_until:
            return (self.secret,)
        return self.secret, self.earlier_secret


@dataclass(frozen=True, slots=True)
class Delivery:
    """An attempt to deliver an event."""

    position: int
    event_id: str
    attempt: int
    at: datetime
    status: int | None
    error: str | None
    milliseconds: int


class Webhooks:
    """The webhooks by their ids."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def all(self) -> list[Webhook]:
        """Return all webhooks, the oldest first. Raises StoreUnavailable."""
        rows, _ = self._database.run("webhooks")
        return [_webhook(row) for row in rows]

    def one(self, webhook_id: str) -> Webhook:
        """Return a webhook. Raises NoSuchWebhook, StoreUnavailable."""
        rows, _ = self._database.run("webhook", (webhook_id,))
        if not rows:
            raise NoSuchWebhook
        return _webhook(rows[0])

    def add(self, made: Webhook) -> None:
        """Add a webhook. Raises TooManyWebhooks, StoreUnavailable."""
        if len(self.all()) >= MOST:
            raise TooManyWebhooks
        self._database.run(
            "add-webhook",
            (
                made.id,
                made.url,
                made.format,
                json.dumps(made.topics),
                made.server_id,
                made.node_id,
                made.created_by,
                made.created_at.isoformat(),
                made.position,
                made.secret,
            ),
        )

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook and the log of its deliveries. Raises NoSuchWebhook, StoreUnavailable."""
        _, removed = self._database.run("remove-webhook", (webhook_id,))
        if not removed:
            raise NoSuchWebhook
        self._database.run("forget-deliveries", (webhook_id,))

    def rotate(self, webhook_id: str, now: datetime) -> str:
        """Give a webhook a new secret and return it. Raises NoSuchWebhook, StoreUnavailable."""
        secret = signing.new_secret()
        _, changed = self._database.run("rotate-webhook", ((now + OVERLAP).isoformat(), secret, webhook_id))
        if not changed:
            raise NoSuchWebhook
        return secret

    def resume(self, webhook_id: str, position: int) -> None:
        """Go on after a position, at once, also when the webhook was disabled. Raises NoSuchWebhook."""
        _, changed = self._database.run("resume-webhook", (position, webhook_id))
        if not changed:
            raise NoSuchWebhook

    def advance(self, one: Webhook, position: int) -> bool:
        """Keep that all up to a position is delivered; return False when the position was set meanwhile."""
        _, changed = self._database.run("advance-webhook", (position, one.id, one.position))
        return bool(changed)

    def fail(self, one: Webhook, failing_since: datetime, next_at: datetime, disabled: str | None) -> None:
        """Keep that an attempt failed, unless the position was set meanwhile."""
        values = (failing_since.isoformat(), next_at.isoformat(), disabled, one.id, one.position)
        self._database.run("fail-webhook", values)

    def log(self, one: Webhook, position: int, event_id: str, outcome: Outcome, at: datetime) -> None:
        """Write an attempt to the log of deliveries."""
        error = None if outcome.error is None else outcome.error[:ERROR_MOST]
        attempt = one.failures + 1
        values = (
            one.id,
            position,
            event_id,
            attempt,
            at.isoformat(),
            outcome.status,
            error,
            outcome.milliseconds,
        )
        self._database.run("log-delivery", values)
        self._database.run("trim-deliveries", (one.id, one.id, KEPT))

    def deliveries(self, webhook_id: str, limit: int) -> list[Delivery]:
        """Return the last attempts, the newest first. Raises StoreUnavailable."""
        rows, _ = self._database.run("deliveries", (webhook_id, limit))
        return [
            Delivery(position, event_id, attempt, datetime.fromisoformat(at), status, error, milliseconds)
            for position, event_id, attempt, at, status, error, milliseconds in rows
        ]


def _webhook(row: Sequence[Any]) -> Webhook:
    return Webhook(
        id=row[0],
        url=row[1],
        format=row[2],
        topics=tuple(json.loads(row[3])),
        server_id=row[4],
        node_id=row[5],
        created_by=row[6],
        created_at=datetime.fromisoformat(row[7]),
        position=row[8],
        failures=row[9],
        failing_since=_time(row[10]),
        next_at=_time(row[11]),
        disabled=row[12],
        secret=row[13],
        earlier_secret=row[14],
        earlier_until=_time(row[15]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
