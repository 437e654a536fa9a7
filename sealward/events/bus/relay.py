"""The relay: copies the log, in its order, to the bus. The log is the outbox."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from sealward.events import cloudevent
from sealward.events.loop import Loop
from sealward.events.set_aside import only_said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.events.base import Stored
    from sealward.events.bus.bus import Bus
    from sealward.events.set_aside import SetAside
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store or broker that was away is tried again, and until leadership is."""
PARTS: Final = 4
"""Reads of the log after which all must be safe before it goes on: what a crash publishes again at most."""
LOOK_UP: Final = 0.1
"""Seconds after which it looks for events of other processes, and whether it shall stop."""


class Publisher(Protocol):
    """Where the relay copies to."""

    def publish(self, batch: Iterable[Stored]) -> None:
        """Publish in order; return when all are safe. Raises BusUnavailable: then all are tried again.

        The batch is read as it is published: what it raises ends the publishing. An event that can never be
        published is set aside, and the others are published.
        """

    def close(self) -> None:
        """Close the connection."""


class Place(Protocol):
    """Remembers how far the relay has come; what was published and not yet kept is published again."""

    def load(self) -> int:
        """Return the position up to which all was published."""

    def keep(self, position: int) -> None:
        """Keep the position."""


class FromNow:
    """The place of a relay whose bus forgets: it begins at the head of the log at each start."""

    def __init__(self, store: EventStore) -> None:
        self._position = store.head()

    def load(self) -> int:
        """Return the position."""
        return self._position

    def keep(self, position: int) -> None:
        """Keep the position for as long as the process lives."""
        self._position = position


class BusPublisher:
    """Publishes one by one on a bus that keeps nothing: `memory://`."""

    def __init__(self, bus: Bus, set_aside: SetAside = only_said) -> None:
        self._bus = bus
        self._set_aside = set_aside

    def publish(self, batch: Iterable[Stored]) -> None:
        """Publish in order."""
        for message in cloudevent.messages(batch, self._set_aside):
            self._bus.publish(message.routing_key, message.body)

    def close(self) -> None:
        """Do nothing: the bus is not the relay's own."""


class _Window:
    """The next events, read in parts while others are on their way; `position` is that of the last read."""

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
    """A thread that publishes every event beyond its place, as long as it leads."""

    def __init__(
        self, store: EventStore, publisher: Publisher, place: Place, leader: Leader | None = None
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._place = place
        self._loop = Loop("relay", self.copy, "the relay waits", leader=leader)

    def start(self) -> None:
        """Begin to publish."""
        self._loop.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._loop.stop()
        self._publisher.close()

    def copy(self) -> None:
        """Publish the next batch, once there is one, and keep the place; return soon when there is none.

        Raises StoreUnavailable, BusUnavailable.
        """
        position = self._place.load()
        if self._store.wait_beyond(position, LOOK_UP):
            window = _Window(self._store, position)
            self._publisher.publish(window)
            self._place.keep(window.position)
