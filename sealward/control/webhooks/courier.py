"""The courier delivers events to webhooks, to each in the order of the log, as long as its process leads."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealward.control.webhooks import schedule, sending, signing
from sealward.control.webhooks.destination import AddressRefused, UrlRefused, destination
from sealward.control.webhooks.sending import Outcome
from sealward.events.base import Recorded
from sealward.events.loop import Loop
from sealward.events.store.store import StoreUnavailable
from sealward.events.wire import cloudevent
from sealward.events.wire.codec import EventFromNewerVersion
from sealward.formats import notice
from sealward.formats.formats import CLOUDEVENTS, FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.control.webhooks.destination import Networks
    from sealward.control.webhooks.webhooks import Webhook, Webhooks
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore

log = logging.getLogger(__name__)

EVERY: Final = 0.5
"""Seconds between two looks for events that wait."""
GONE: Final = "gone"
"""A receiver answered 410: it wants no more events."""
UNREACHED: Final = "unreached"
"""No attempt has succeeded for three days."""
TYPES: Final = {CLOUDEVENTS: "application/cloudevents+json", "cef": "text/plain; charset=utf-8"}
"""The content type of a format; of other formats it is application/json."""


class Courier:
    """A thread that looks for events, and a thread for each webhook that has some.

    So no webhook waits for the receiver of another webhook.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the log, the webhooks, where they may send, time, chance and lead
        self,
        store: EventStore,
        webhooks: Webhooks,
        networks: Networks,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        leader: Leader | None = None,
    ) -> None:
        self._store = store
        self._webhooks = webhooks
        self._networks = networks
        self._clock = clock
        self._chance = chance
        self._busy: dict[str, threading.Thread] = {}
        self._ending = threading.Event()
        self._loop = Loop("courier", self.look, "webhooks wait", leader=leader, every=EVERY, first=0.0)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End. A request under way ends with the process; its event is delivered again then."""
        self._ending.set()
        self._loop.stop()

    def look(self) -> None:
        """Begin the deliveries that are due. Raises StoreUnavailable."""
        self._busy = {key: thread for key, thread in self._busy.items() if thread.is_alive()}
        webhooks = self._webhooks.all()
        if not webhooks:
            return
        head, now = self._store.head(), self._clock()
        for one in webhooks:
            is_due = one.disabled is None and (one.next_at is None or one.next_at <= now)
            if is_due and one.position < head and one.id not in self._busy:
                thread = threading.Thread(target=self._deliver, args=(one,), name="webhook", daemon=True)
                self._busy[one.id] = thread
                thread.start()

    def _deliver(self, one: Webhook) -> None:
        try:
            self.deliver(one)
        except (StoreUnavailable, EventFromNewerVersion) as why:
            log.warning("webhook %s waits: %s", one.id, why)

    def deliver(self, one: Webhook) -> None:
        """Deliver events until none waits or an attempt fails. Raises StoreUnavailable."""
        while not self._ending.is_set():
            batch = self._store.entries(one.position)
            if not batch:
                return
            for entry in batch:
                if self._ending.is_set():
                    return
                if isinstance(entry, Recorded) and _wants(one, entry):
                    if not self._attempt(one, entry):
                        return
                    moved = self._moved(one, entry.position)
                    if moved is None:
                        return
                    one = moved
            end = batch[-1].position
            if end > one.position:
                moved = self._moved(one, end)
                if moved is None:
                    return
                one = moved

    def _moved(self, one: Webhook, position: int) -> Webhook | None:
        """Keep a position; return None when an administrator has set the position meanwhile."""
        if not self._webhooks.advance(one, position):
            return None
        return replace(one, position=position, failures=0, failing_since=None, next_at=None)

    def _attempt(self, one: Webhook, entry: Recorded) -> bool:
        """Try to deliver an event; return whether it is delivered."""
        now = self._clock()
        outcome = self._sent(one, entry, now)
        self._webhooks.log(one, entry.position, str(entry.id), outcome, now)
        if outcome.is_delivered:
            return True
        since = one.failing_since or now
        reason = GONE if outcome.is_gone else UNREACHED if now - since > schedule.GIVEN_UP_AFTER else None
        pause = schedule.pause(one.failures + 1, self._chance(), outcome.retry_after)
        self._webhooks.fail(one, since, now + pause, reason)
        if reason is not None:
            log.error(
                "webhook %s is disabled: %s; PUT /v1/webhook/%s/position goes on", one.id, reason, one.id
            )
        elif one.failures == 0:
            log.warning(
                "webhook %s: %s; tried again", one.id, outcome.error or f"HTTP status {outcome.status}"
            )
        return False

    def _sent(self, one: Webhook, entry: Recorded, now: datetime) -> Outcome:
        body = rendered(one.format, entry)
        headers = signing.headers(str(entry.id), int(now.timestamp()), body, one.secrets(now))
        headers |= {"content-type": TYPES.get(one.format, "application/json"), "user-agent": "sealward"}
        try:
            return sending.send(destination(one.url), self._networks, headers, body)
        except (AddressRefused, UrlRefused) as refused:
            return Outcome(None, str(refused), 0)


def rendered(name: str, entry: Recorded) -> bytes:
    """Return the body of the request for an event in a format."""
    event = cloudevent.render(entry)
    if name == CLOUDEVENTS:
        return event
    return FORMATS[name](notice.read(event.decode())).encode()


def _wants(one: Webhook, entry: Recorded) -> bool:
    event = entry.event
    return (
        (not one.topics or event.topic in one.topics)
        and one.server_id in {None, getattr(event, "server_id", None)}
        and one.node_id in {None, getattr(event, "node_id", None)}
    )
