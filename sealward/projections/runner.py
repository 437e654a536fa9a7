"""Keeps the projections at the head of the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.events.loop import Loop
from sealward.events.store.leader import Alone

if TYPE_CHECKING:
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore
    from sealward.projections.database import Projections

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store that was away is asked again."""
LOOK_UP: Final = 0.1
"""Seconds after which it looks for events of other processes, and whether it shall stop."""


class Runner:
    """A thread that folds whatever is appended, as long as it leads; appends wake it at once."""

    def __init__(self, store: EventStore, projections: Projections, leader: Leader | None = None) -> None:
        self._store = store
        self._projections = projections
        self._leader = leader or Alone()
        self._loop = Loop("projections", self._keep_up, "the projections wait", leader=self._leader)

    def start(self) -> None:
        """Catch up, when it leads, then keep up in the background."""
        if self._leader.holds():
            for _ in self._projections.catch_up(self._store):
                if not self._leader.holds():
                    break
        self._loop.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._loop.stop()

    def _keep_up(self) -> None:
        if self._store.wait_beyond(self._projections.position_now(), LOOK_UP):
            self._projections.advance(self._store)
