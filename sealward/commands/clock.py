"""How far the clocks of nodes are trusted: order comes from the counters of reports, time is only time.

The intake takes the reports of a node in the order of their counters, and none twice. So a report is news
however its node dates it. Its time says how long a "true" lives, and whether a measurement is older than
something that the control plane did. A node whose clock is wrong makes no "true"; what it finds different is
different all the same.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealward.commands.errors import FromTheFuture

if TYPE_CHECKING:
    from datetime import datetime

TOLERANCE: Final = timedelta(seconds=60)
"""How far the clock of a node may be ahead of the control plane's; an agent's own times go back no less."""
TICK: Final = timedelta(microseconds=1)


def refuse_future(moment: datetime, now: datetime) -> None:
    """Raise FromTheFuture for a moment that would outlive its time."""
    if is_future(moment, now):
        raise FromTheFuture


def is_future(moment: datetime, now: datetime) -> bool:
    """Say whether a node's clock is ahead by more than is tolerated."""
    return moment > now + TOLERANCE


def is_overtaken(moment: datetime, known: datetime) -> bool:
    """Say whether a moment is not newer than what is known already.

    A moment that is older by more than is tolerated is newer all the same: the node's clock was set back.
    """
    return moment <= known and known - moment <= TOLERANCE


def dated(moment: datetime, known: datetime, now: datetime) -> datetime:
    """Return the moment at which a difference counts: as its node dates it, unless that clock must be wrong.

    `known` is the moment of what was known of the server before.
    """
    if is_future(moment, now):
        moment = now
    return known + TICK if moment <= known and known - moment > TOLERANCE else moment
