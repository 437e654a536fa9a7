"""Counts of refused requests, closed connections and invalid tokens, for /metrics."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS: Final = ("connections", "pipelining", "streams", "writes", "past", "refused-tokens")
CLOSINGS: Final = ("late", "slow-reader", "made-room", "no-room", "tls")


class Traffic:
    """The counters of a process. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.limited: Counter[str] = Counter(dict.fromkeys(LIMITS, 0))
        """Requests that were answered 429 or 503 because a limit was reached, by limit (LIMITS)."""
        self.closed: Counter[str] = Counter(dict.fromkeys(CLOSINGS, 0))
        """Connections that the server closed by itself, by reason (CLOSINGS)."""
        self.refused_tokens = 0
        self.connections: Callable[[], int] = int
        """Returns the number of open connections."""
        self.most_connections = 0
        """The number of connections that can be open."""

    def limit(self, name: str) -> None:
        """Count a request that reached a limit."""
        with self._lock:
            self.limited[name] += 1

    def close(self, reason: str) -> None:
        """Count a connection that the server closed."""
        with self._lock:
            self.closed[reason] += 1

    def refuse_token(self) -> None:
        """Count an invalid token."""
        with self._lock:
            self.refused_tokens += 1
