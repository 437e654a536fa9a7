"""When a delivery that failed is tried again, and when a webhook is given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

PAUSES: Final = (5.0, 30.0, 120.0, 300.0)
"""Seconds after the first, second … failure; after any later failure the last of them.

Events are delivered in order, so all later events wait too. Therefore the pauses are shorter than the hours
that the specification recommends for single events.
"""
JITTER: Final = 0.2
"""The part of a pause by which the pause is made longer at random: receivers are not all tried at once."""
LONGEST_ASKED: Final = 3600.0
"""Seconds of a Retry-After that are obeyed, at most."""
GIVEN_UP_AFTER: Final = timedelta(days=3)
"""A webhook whose deliveries fail for so long is disabled. Its position stays, so it loses no event."""


def pause(failures: int, chance: float, asked: float | None = None) -> timedelta:
    """Return the pause after so many failures in a row, at least 1.

    `chance` is a random number from 0 to 1; `asked` are the seconds of the receiver's Retry-After.
    """
    seconds = PAUSES[min(failures, len(PAUSES)) - 1]
    if asked is not None:
        seconds = max(seconds, min(asked, LONGEST_ASKED))
    return timedelta(seconds=seconds * (1 + JITTER * chance))
