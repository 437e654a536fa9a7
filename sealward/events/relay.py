"""The relay: copies the log, in its order, to the bus."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events import cloudevent
from sealward.events.store import StoreUnavailable

if TYPE_CHECKING:
    from sealward.events.bus import Bus
    from sealward.events.store import EventStore

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store that was away is asked again."""
LOOK_UP: Final = 0.1
"""Seconds after which it looks for events of other processes, and whether it shall stop."""


class Relay:
    """A thread that publishes every event beyond the position it begins at."""

    def __init__(self, store: EventStore, bus: Bus, position: int) -> None:
        self._store = store
        self._bus = bus
        self._position = position
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the event at hand, then end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._store.wait_beyond(self._position, LOOK_UP):
                    self._copy()
            except StoreUnavailable as away:
                log.warning("the relay waits for the store: %s", away)
                self._stopped.wait(PAUSE)

    def _copy(self) -> None:
        for recorded in self._store.follow(self._position):
            self._bus.publish(cloudevent.routing_key(recorded), cloudevent.render(recorded))
            self._position = recorded.position
