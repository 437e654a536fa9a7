"""Messages about a part that is away: one when it goes, one a minute while it is away, one when it is back.

A database that is away is met by many threads, each of which tries again every second. Each of them logs what
it met with `extra={"away": PART}`, and that the part answers again with `extra={"back": PART}`. The filter
here lets through the few messages that tell something new. Messages without such a mark pass.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN: Final = 60.0
"""Seconds between two messages about a part that stays away."""
SETTLES: Final = 5.0
"""Seconds after a part has come back in which a thread that meets the old absence is not heard."""
FORGOTTEN: Final = 30.0
"""Seconds after which an absence that no thread has met counts as ended: threads try again every second."""


@dataclass(slots=True)
class _Part:
    """Since when a part is away (None: it is not), and when a thread met and the log said that, last."""

    since: float | None = None
    met_at: float = 0.0
    said_at: float = 0.0
    back_at: float = float("-inf")


class Absences(logging.Filter):
    """Drops messages that repeat what the log has said of a part within the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a message is written; add for how long the part was away."""
        away, back = getattr(record, "away", None), getattr(record, "back", None)
        if away is None and back is None:
            return True
        with self._lock:
            part = self._parts.setdefault(str(away or back), _Part())
            lasted = self._goes(part) if away is not None else self._returns(part)
        if lasted:
            words = "it has been away" if away is not None else "it was away"
            record.msg, record.args = f"{record.getMessage()} ({words} for {lasted:.0f} s)", ()
        return lasted is not None

    def _goes(self, part: _Part) -> float | None:
        """Return for how long a part has been away; None where that was said within the last minute."""
        now = self._clock()
        is_forgotten, part.met_at = now - part.met_at > FORGOTTEN, now
        if part.since is None or is_forgotten:
            if now - part.back_at < SETTLES:
                return None
            part.since = part.said_at = now
            return 0.0
        if now - part.said_at < AGAIN:
            return None
        part.said_at = now
        return now - part.since

    def _returns(self, part: _Part) -> float | None:
        """Return for how long a part was away; None where the log has not said that it was."""
        if part.since is None:
            return None
        now = self._clock()
        lasted, part.since, part.back_at = now - part.since, None, now
        return lasted
