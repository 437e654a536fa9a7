"""Tells nodes that missed a message to register again, until their queues have taken that message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.events.bus.node_queues import QueueRefused
from sealward.events.loop import Loop
from sealward.intake.telling.backoff import Backoff
from sealward.protocol import telling
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.control.untold import Untold
    from sealward.events.bus.node_queues import NodeQueues
    from sealward.events.store.leader import Leader
    from sealward.intake.telling.voice import Voice

log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks for nodes that missed a message."""


class Reminders:
    """A thread that reminds nodes. A node that cannot be reminded is left alone, longer each time."""

    def __init__(
        self,
        untold: Untold,
        queues: NodeQueues,
        voice: Voice,
        *,
        leader: Leader | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._untold = untold
        self._queues = queues
        self._voice = voice
        self._backoff = backoff or Backoff()
        self._loop = Loop(
            "reminders", self.remind, "nodes that missed something have to wait", leader=leader, every=EVERY
        )

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self) -> None:
        """Finish the work at hand, then end the thread."""
        self._loop.stop()
        self._queues.close()

    def remind(self) -> None:
        """Remind the nodes that are not in a pause. Raises StoreUnavailable, BusUnavailable."""
        due = {
            hostname: position
            for hostname, position in self._untold.all().items()
            if not self._backoff.waits(hostname)
        }
        if due:
            self._remind(due)

    def _remind(self, due: Mapping[str, int]) -> None:
        ready = {hostname: position for hostname, position in due.items() if self._opened(hostname)}
        letters = [self._voice.letter(name, telling.Anew(position)) for name, position in ready.items()]
        failed = self._queues.put(letters)
        for hostname, position in due.items():
            if hostname not in ready or queue_of(hostname) in failed:
                self._backoff.failed(hostname)
            else:
                log.info("%s is told to ask for everything", hostname)
                self._backoff.worked(hostname)
                self._untold.forget(hostname, position)

    def _opened(self, hostname: str) -> bool:
        """Make the queue of a node where it is missing; say whether the queue can be used."""
        try:
            self._queues.open(queue_of(hostname))
        except QueueRefused as refused:
            log.warning("%s cannot be told anything: %s", hostname, refused)
            return False
        return True
