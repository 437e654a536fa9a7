"""How far the clocks of nodes are trusted.

The order of a node's reports is the order of their turns, not of their times: the intake processes each
report once, in that order. The time of a report says how long a true verdict lives, and whether a measurement
is older than an action of the control plane. A node whose clock is wrong makes no verdict true. A difference
that it measures makes a verdict false all the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealward.commands.errors import FromTheFuture

if TYPE_CHECKING:
    from datetime import datetime

TOLERANCE: Final = timedelta(seconds=60)
"""How far a node's clock may be ahead of the control plane's clock, or be set back unnoticed."""
TICK: Final = timedelta(microseconds=1)
"""The smallest step of time that events record."""


def refuse_future(moment: datetime, now: datetime) -> None:
    """Raise FromTheFuture for a time of a node that is too far ahead of `now`."""
    if is_future(moment, now):
        raise FromTheFuture


def is_future(moment: datetime, now: datetime) -> bool:
    """Say whether a time of a node is ahead of `now` by more than `TOLERANCE`."""
    return moment > now + TOLERANCE


def is_overtaken(moment: datetime, known: datetime) -> bool:
    """Say whether a time of a node is not later than the time that is known already.

    A time that is earlier by more than `TOLERANCE` counts as later: the node's clock was set back.
    """
    return moment <= known and known - moment <= TOLERANCE


def dated(moment: datetime, known: datetime, now: datetime) -> datetime:
    """Return the time at which a difference counts: the node's time, corrected if it must be wrong.

    `known` is the time of the last measurement of the server.
    """
    if is_future(moment, now):
        moment = now
    return known + TICK if moment <= known and known - moment > TOLERANCE else moment
