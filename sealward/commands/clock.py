"""How far the clocks of nodes are trusted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sealward.commands.errors import FromTheFuture

if TYPE_CHECKING:
    from datetime import datetime

TOLERANCE: Final = timedelta(seconds=60)
"""How far the clock of a node may be ahead of the control plane's."""


def refuse_future(moment: datetime, now: datetime) -> None:
    """Raise FromTheFuture for a moment that would outlive its time and outrank what is found after it."""
    if moment > now + TOLERANCE:
        raise FromTheFuture
