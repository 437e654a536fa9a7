"""The thread that keeps the projections at the head of the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.events.loop import Loop
from sealward.events.store.leader import Alone

if TYPE_CHECKING:
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore
    from sealward.projections.store.database import Projections

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until the thread tries again after the store was away."""
LOOK_UP: Final = 0.1
"""Seconds between two looks for events of other processes, and for a call of `stop`."""


class Runner:
    """A thread that folds each appended event while this process leads. An append wakes the thread."""

    def __init__(self, store: EventStore, projections: Projections, leader: Leader | None = None) -> None:
        self._store = store
        self._projections = projections
        self._leader = leader or Alone()
        self._loop = Loop("projections", self._keep_up, "the projections wait", leader=self._leader)

    def start(self) -> None:
        """Fold the log to its end if this process leads, then start the thread."""
        if self._leader.holds():
            for _ in self._projections.catch_up(self._store):
                if not self._leader.holds():
                    break
        self._loop.start()

    def stop(self) -> None:
        """Finish the current batch and end the thread."""
        self._loop.stop()

    def _keep_up(self) -> None:
        if self._store.wait_beyond(self._projections.position_now(), LOOK_UP):
            self._projections.advance(self._store)
