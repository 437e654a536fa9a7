"""A thread that sends messages to nodes, so that the intake waits for no node and no broker."""

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
"""Seconds until a store or broker that did not answer is tried again."""


class Desk:
    """A thread that calls `work_off` whenever it is woken. No other thread uses its `queues`."""

    def __init__(self, name: str, queues: NodeQueues) -> None:
        self._queues = queues
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the work at hand, then end the thread."""
        self._stopped.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(5)
        self._queues.close()

    def wake(self) -> None:
        """Wake the thread, because messages wait."""
        self._woken.set()

    def work_off(self) -> None:
        """Send the messages that wait. Raises StoreUnavailable, BusUnavailable: then it is called again."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait()
            self._woken.clear()
            try:
                self.work_off()
            except (StoreUnavailable, BusUnavailable) as away:
                log.warning("nodes wait for their answers: %s", away, extra={"away": away.part})
                self._stopped.wait(PAUSE)
                self.wake()
