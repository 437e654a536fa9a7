"""A thread that does the same piece of work again and again."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.bus.connection import BusUnavailable
from sealward.events.store.leader import Alone
from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.store.leader import Leader

log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a process asks again to lead."""
AGAIN: Final = 0.5
"""Seconds until a store or broker that was away is tried again."""
TO_END: Final = 5.0
"""Seconds that the piece of work at hand may take when the thread shall end."""


class Loop:
    """A thread that calls `work` every `every` seconds, as long as this process leads.

    `every` is 0 when `work` waits by itself. The first call comes after `first` seconds; when `first` is not
    given, after `every` seconds. When the store or the broker is away, the thread logs `waits` and the
    reason, and tries again.
    """

    def __init__(  # noqa: PLR0913 - a name, a piece of work, and when it is done
        self,
        name: str,
        work: Callable[[], None],
        waits: str,
        *,
        leader: Leader | None = None,
        every: float = 0.0,
        first: float | None = None,
    ) -> None:
        self._work = work
        self._waits = waits
        self._leader = leader or Alone()
        self._every = every
        self._first = every if first is None else first
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the call of `work` at hand, then end, and let another process lead."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(TO_END)
        self._leader.close()

    def _run(self) -> None:
        pause, missed = self._first, ""
        while not self._stopped.wait(pause):
            pause = self._every
            try:
                if self._leader.holds():
                    self._work()
                    if missed:
                        log.info("%s answers again", missed, extra={"back": missed})
                        missed = ""
                else:
                    self._stopped.wait(PAUSE)
            except (StoreUnavailable, BusUnavailable) as away:
                missed = away.part
                log.warning("%s: %s", self._waits, away, extra={"away": missed})
                self._stopped.wait(AGAIN)
