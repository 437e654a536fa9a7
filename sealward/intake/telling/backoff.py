"""Pauses after messages that could not be sent to a node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST: Final = 1.0
LONGEST: Final = 60.0
"""Seconds of the first and of the longest pause. Each failure doubles the pause."""


class Backoff:
    """The pause of each node. For one thread; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, float]] = {}
        """By hostname the end of the pause and its length."""

    def waits(self, hostname: str) -> bool:
        """Say whether a node is in its pause."""
        until, _ = self._failed.get(hostname, (0.0, 0.0))
        return self._clock() < until

    def failed(self, hostname: str) -> None:
        """Begin a pause, twice as long as the last pause."""
        _, last = self._failed.get(hostname, (0.0, 0.0))
        pause = min(LONGEST, last * 2) or FIRST
        self._failed[hostname] = (self._clock() + pause, pause)

    def worked(self, hostname: str) -> None:
        """End the pauses of a node, because a message was sent to it."""
        self._failed.pop(hostname, None)
