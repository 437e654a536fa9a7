"""Signs the control plane's messages to nodes. Each message is signed for one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events.bus.node_queues import Letter
from sealward.protocol import telling
from sealward.protocol.queues import queue_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Voice:
    """Signs messages with the authority's key. For any thread."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def letter(self, hostname: str, message: telling.Message) -> Letter:
        """Return a signed message for a node, addressed to the queue that the node reads."""
        told = telling.Told(hostname, message)
        return Letter(queue_of(hostname), telling.seal(told, self._key))
