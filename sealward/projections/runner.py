"""Keeps the projections at the head of the log."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.leader import Alone
from sealward.events.store import StoreUnavailable

if TYPE_CHECKING:
    from sealward.events.leader import Leader
    from sealward.events.store import EventStore
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
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projections", daemon=True)

    def start(self) -> None:
        """Catch up, when it leads, then keep up in the background."""
        if self._leader.holds():
            for _ in self._projections.catch_up(self._store):
                if not self._leader.holds():
                    break
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._leader.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._leader.holds():
                    self._keep_up()
                else:
                    self._stopped.wait(PAUSE)
            except StoreUnavailable as away:
                log.warning("the projections wait for the store: %s", away)
                self._stopped.wait(PAUSE)

    def _keep_up(self) -> None:
        if self._store.wait_beyond(self._projections.position_now(), LOOK_UP):
            self._projections.advance(self._store)
