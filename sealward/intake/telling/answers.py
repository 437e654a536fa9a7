"""Answers registrations: sends a node everything that it has to know, with the nonce of its registration.

An answer that the node's queue does not take is dropped: the node registers again after some seconds.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.node_queues import QueueRefused
from sealward.events.set_aside import BROKEN
from sealward.events.store.store import StoreUnavailable
from sealward.intake.telling.backoff import Backoff
from sealward.intake.telling.desk import Desk
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.commands.node_state import Node
    from sealward.events.bus.node_queues import Letter, NodeQueues
    from sealward.intake.telling.voice import Voice
    from sealward.protocol.desired import Desired
    from sealward.protocol.telling import Behind

    Desire = Callable[[Node], Desired]

log = logging.getLogger(__name__)

TOGETHER: Final = 8 * 1024 * 1024
"""Bytes of answers after which a batch of answers is sent: an answer to a node with many signs is large."""


class Answers(Desk):
    """A thread that answers registrations. `desire` reads what a node has to know.

    Of several registrations of a node the last is answered. A node whose queue does not take an answer is
    left alone for a while, longer each time.
    """

    def __init__(
        self, desire: Desire, queues: NodeQueues, voice: Voice, backoff: Backoff | None = None
    ) -> None:
        super().__init__("answers", queues)
        self._desire = desire
        self._voice = voice
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        self._asked: dict[str, tuple[Node, str]] = {}
        """By hostname the node, and the nonce of its last registration."""
        self._behind: dict[str, Behind] = {}

    def take(self, asked: Mapping[str, tuple[Node, str]], behind: Mapping[str, Behind]) -> None:
        """Have registrations answered soon: `asked` has by hostname the node and its nonce.

        `behind` has by hostname the answer to a registration whose turn is an old turn.
        """
        if asked or behind:
            with self._lock:
                self._asked.update(asked)
                self._behind.update(behind)
            self.wake()

    @property
    def waits(self) -> bool:
        """Say whether a node waits for its answer."""
        return bool(self._asked or self._behind)

    def work_off(self) -> None:
        """Answer all registrations. Raises StoreUnavailable, BusUnavailable: then they go on waiting."""
        while self.waits:
            with self._lock:
                asked, self._asked = self._asked, {}
                behind, self._behind = self._behind, {}
            try:
                self._send(asked, behind)
            except (StoreUnavailable, BusUnavailable):
                with self._lock:
                    self._asked, self._behind = asked | self._asked, behind | self._behind
                raise

    def _send(self, asked: Mapping[str, tuple[Node, str]], behind: Mapping[str, Behind]) -> None:
        self._put({name: self._voice.letter(name, one) for name, one in behind.items() if self._opened(name)})
        letters: dict[str, Letter] = {}
        size = 0
        for hostname, (node, nonce) in asked.items():
            letter = self._letter(node, nonce) if self._opened(hostname) else None
            if letter is not None:
                letters[hostname] = letter
                size += len(letter.body)
            if size > TOGETHER:
                self._put(letters)
                letters, size = {}, 0
        self._put(letters)

    def _letter(self, node: Node, nonce: str) -> Letter | None:
        """Return the answer to a node; None where the answer cannot be read from the rows or encoded."""
        try:
            desired = msgspec.structs.replace(self._desire(node), answers=nonce)
            return self._voice.letter(node.hostname, desired)
        except BROKEN:
            log.exception("%s cannot be answered", node.hostname)
            self._backoff.failed(node.hostname)
            return None

    def _opened(self, hostname: str) -> bool:
        """Make the queue of a node where it is missing; say whether a message can be sent to it now."""
        if self._backoff.waits(hostname):
            return False
        try:
            self._queues.open(queue_of(hostname))
        except QueueRefused as refused:
            log.warning("%s cannot be answered: %s", hostname, refused)
            self._backoff.failed(hostname)
            return False
        return True

    def _put(self, letters: Mapping[str, Letter]) -> None:
        """Send answers. Where a queue has disappeared, make it and send the answer once more."""
        failed = self._queues.put(list(letters.values()))
        again = [one for name, one in letters.items() if one.queue in failed and self._opened(name)]
        failed = self._queues.put(again)
        for hostname, letter in letters.items():
            if letter.queue in failed:
                log.warning("%s did not take its answer", hostname)
                self._backoff.failed(hostname)
            else:
                self._backoff.worked(hostname)
