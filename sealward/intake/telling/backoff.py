"""How long a node that could not be told something is left alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST: Final = 1.0
LONGEST: Final = 60.0
"""Seconds that a node is left alone: twice as long after each failure."""


class Backoff:
    """By hostname, until when a node is left alone. For one thread; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, float]] = {}
        """Until when, and how long it was."""

    def waits(self, hostname: str) -> bool:
        """Say whether a node is to be left alone now."""
        until, _ = self._failed.get(hostname, (0.0, 0.0))
        return self._clock() < until

    def failed(self, hostname: str) -> None:
        """Leave a node alone, longer than last time."""
        _, last = self._failed.get(hostname, (0.0, 0.0))
        pause = min(LONGEST, last * 2) or FIRST
        self._failed[hostname] = (self._clock() + pause, pause)

    def worked(self, hostname: str) -> None:
        """Know that a node could be told something."""
        self._failed.pop(hostname, None)
