"""The numbers that an agent gives to its envelopes, so that no envelope counts twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealward.protocol.turn import Turn

if TYPE_CHECKING:
    from sealward.node_agent.ledger.ledger import Ledger

BOOT: Final = "boot"
"""The name of the ledger's fact that counts the starts of the agent."""


class Turns:
    """Ever greater turns. The number of a boot is on disk before its first turn is used. For any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._begin(int(ledger.fact(BOOT) or 0) + 1)

    @property
    def boot(self) -> int:
        """Return the number of this start of the agent, or the number that `go_beyond` made."""
        return self._boot

    def next(self) -> Turn:
        """Return the next turn."""
        with self._lock:
            self._seq += 1
            return Turn(self._boot, self._seq)

    def go_beyond(self, boot: int) -> bool:
        """Continue after a boot that the control plane heard; say whether it is this boot or a later boot."""
        with self._lock:
            if boot < self._boot:
                return False
            self._begin(boot + 1)
            return True

    def _begin(self, boot: int) -> None:
        self._ledger.keep_fact(BOOT, str(boot))
        self._boot, self._seq = boot, 0
