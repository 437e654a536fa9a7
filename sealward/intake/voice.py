"""The voice of the control plane towards nodes: each message is signed for the node that is to hear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events.node_queues import Letter
from sealward.protocol import telling
from sealward.protocol.reports import queue_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Voice:
    """Signs with the authority's key. For any thread."""

    def __init__(self, key: Ed25519PrivateKey, clock: Callable[[], datetime]) -> None:
        self._key = key
        self._clock = clock

    def letter(self, hostname: str, message: telling.Message) -> Letter:
        """Return a message for a node, for the queue that the node reads."""
        told = telling.Told(hostname, self._clock(), message)
        return Letter(queue_of(hostname), telling.seal(told, self._key))
