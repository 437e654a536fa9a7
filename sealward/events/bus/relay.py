"""The relay: copies the log, in its order, to the bus. The log is the outbox."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from sealward.events.loop import Loop
from sealward.events.set_aside import only_said
from sealward.events.wire import cloudevent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.events.base import Stored
    from sealward.events.bus.bus import Bus
    from sealward.events.set_aside import SetAside
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store or broker that was away is tried again, or a process tries again to lead."""
PARTS: Final = 4
"""After so many reads of the log the relay waits until the broker has confirmed all their events. After a
crash at most the events of so many reads are published again."""
LOOK_UP: Final = 0.1
"""Seconds after which the relay looks for events of other processes, and whether it is to stop."""


class Publisher(Protocol):
    """The destination of the relay."""

    def publish(self, batch: Iterable[Stored]) -> None:
        """Publish in order; return when the broker has confirmed all events.

        Raises BusUnavailable: the relay then publishes the whole batch again. The batch is read while it is
        published, and an exception from the batch ends the publishing. An event that can never be published
        is set aside, and the other events are published.
        """

    def close(self) -> None:
        """Close the connection."""


class KeptPosition(Protocol):
    """Keeps the position up to which the relay has published. After a crash it publishes again from there."""

    def load(self) -> int:
        """Return the position up to which all events were published."""

    def keep(self, position: int) -> None:
        """Keep the position."""


class FromNow:
    """The position of a relay to a bus that keeps no messages: each start begins at the head of the log."""

    def __init__(self, store: EventStore) -> None:
        self._position = store.head()

    def load(self) -> int:
        """Return the position."""
        return self._position

    def keep(self, position: int) -> None:
        """Keep the position for as long as the process lives."""
        self._position = position


class BusPublisher:
    """Publishes event by event on a bus that keeps no messages: `memory://`."""

    def __init__(self, bus: Bus, set_aside: SetAside = only_said) -> None:
        self._bus = bus
        self._set_aside = set_aside

    def publish(self, batch: Iterable[Stored]) -> None:
        """Publish in order."""
        for message in cloudevent.messages(batch, self._set_aside):
            self._bus.publish(message.routing_key, message.body)

    def close(self) -> None:
        """Do nothing: the bus belongs to the caller."""


class _Window:
    """The next events of the log, read in parts while earlier parts are being published.

    `position` is the position of the last event that was read.
    """

    def __init__(self, store: EventStore, position: int) -> None:
        self._store = store
        self.position = position

    def __iter__(self) -> Iterator[Stored]:
        for _ in range(PARTS):
            batch = self._store.copy(self.position)
            for one in batch:
                self.position = one.position
                yield one
            if not batch:
                break


class Relay:
    """A thread that publishes every event beyond the kept position, as long as its process leads."""

    def __init__(
        self, store: EventStore, publisher: Publisher, kept: KeptPosition, leader: Leader | None = None
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._kept = kept
        self._loop = Loop("relay", self.copy, "the relay waits", leader=leader)

    def start(self) -> None:
        """Begin to publish."""
        self._loop.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._loop.stop()
        self._publisher.close()

    def copy(self) -> None:
        """Wait briefly for events beyond the kept position; publish them, and keep the new position.

        Raises StoreUnavailable, BusUnavailable.
        """
        position = self._kept.load()
        if self._store.wait_beyond(position, LOOK_UP):
            window = _Window(self._store, position)
            self._publisher.publish(window)
            self._kept.keep(window.position)
