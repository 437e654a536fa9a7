"""Messages whose sender is not proven: only their number is kept, by the broker's user and the reason."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.control.database import ControlDatabase

EVERY: Final = 1.0
"""Seconds between two writes of the counts: a flood costs one write a second."""
REASONS: Final = (
    "envelope.malformed",
    "envelope.not-verified",
    "key.refused",
    "order.over-quota",
    "report.malformed",
    "report.no-sender",
    "report.not-newer",
    "report.over-log-quota",
    "report.over-quota",
    "report.wrong-sender",
)
"""The usual reasons. Each is counted from zero on, so that an alert sees the first message as an increase."""
ROWS: Final = 1000
"""How many rows are kept; the rows that were counted last are kept. As a rule there are fewer rows."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages of a user were dropped for a reason; `sender` is empty where it named no user."""

    sender: str
    reason: str
    messages: int
    first_at: datetime
    last_at: datetime


class Unproven:
    """The counts of unproven messages. A process that ends loses its counts of the last second."""

    def __init__(
        self,
        database: ControlDatabase,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._written_at = -EVERY

    def add(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count messages by (sender, reason). Write all unwritten counts if the last write is a second ago.

        The caller calls this without counts from time to time, so that no count stays unwritten for long.
        For one thread. Raises StoreUnavailable.
        """
        self._waiting.update(counts)
        now = self._monotonic()
        if self._waiting and now - self._written_at >= EVERY:
            rows = [[sender, reason, messages] for (sender, reason), messages in self._waiting.items()]
            self._database.run("count-unproven", (self._clock().isoformat(), json.dumps(rows)))
            self._database.run("forget-unproven", (ROWS,))
            self._waiting.clear()
            self._written_at = now

    def all(self) -> list[Count]:
        """Return all counts, those counted last first. Raises StoreUnavailable."""
        rows, _ = self._database.run("unproven")
        return [
            Count(sender, reason, messages, datetime.fromisoformat(first), datetime.fromisoformat(last))
            for sender, reason, messages, first, last in rows
        ]
