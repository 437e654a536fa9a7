"""Where answers to nodes are written, beside the intake, which so waits for no node and no broker."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.bus.connection import BusUnavailable
from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from sealward.events.bus.node_queues import NodeQueues


log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds until a store or broker that was away is tried again."""


class Desk:
    """A thread that works off what waits, as soon as it is woken. `queues` is the desk's own."""

    def __init__(self, name: str, queues: NodeQueues) -> None:
        self._queues = queues
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is at hand, then end."""
        self._stopped.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(5)
        self._queues.close()

    def wake(self) -> None:
        """Say that something waits."""
        self._woken.set()

    def work_off(self) -> None:
        """Do what waits. Raises StoreUnavailable, BusUnavailable: then it is tried again."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait()
            self._woken.clear()
            try:
                self.work_off()
            except (StoreUnavailable, BusUnavailable) as away:
                log.warning("nodes wait for their answers: %s", away)
                self._stopped.wait(PAUSE)
                self.wake()
