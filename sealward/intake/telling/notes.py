"""Sends short messages to nodes: inquiries at homes, and answers to start gates.

A message that cannot be sent at once is dropped: a start gate does not wait long for its answer.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from sealward.events.bus.connection import BusUnavailable
from sealward.events.set_aside import BROKEN
from sealward.events.store.store import StoreUnavailable
from sealward.intake.telling.backoff import Backoff
from sealward.intake.telling.desk import Desk
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.bus.node_queues import NodeQueues
    from sealward.intake.telling.voice import Voice
    from sealward.protocol import telling

    Write = Callable[[], telling.Message]

log = logging.getLogger(__name__)

WAITING: Final = 5_000
"""Messages that may wait. When there are more, the oldest messages are dropped."""


class Notes(Desk):
    """A thread that sends messages in their order."""

    def __init__(self, queues: NodeQueues, voice: Voice, backoff: Backoff | None = None) -> None:
        super().__init__("notes", queues)
        self._voice = voice
        self._backoff = backoff or Backoff()
        self._waiting: deque[tuple[str, Write]] = deque(maxlen=WAITING)

    def give(self, hostname: str, write: Write) -> None:
        """Have the message that `write` returns sent to a node soon. `write` may raise StoreUnavailable."""
        self._waiting.append((hostname, write))
        self.wake()

    def work_off(self) -> None:
        """Send the messages that wait."""
        while self._waiting:
            hostname, write = self._waiting.popleft()
            if self._backoff.waits(hostname):
                continue
            try:
                failed = self._queues.put([self._voice.letter(hostname, write())])
            except (StoreUnavailable, BusUnavailable) as away:
                log.warning("%s is not told: %s", hostname, away, extra={"away": away.part})
                continue
            except BROKEN:
                log.exception("a note for %s cannot be made and is dropped", hostname)
                continue
            if queue_of(hostname) in failed:
                log.warning("%s could not be told", hostname)
                self._backoff.failed(hostname)
            else:
                self._backoff.worked(hostname)
