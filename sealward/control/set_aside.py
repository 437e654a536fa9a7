"""Events that parts other than the projections could not take; theirs stand among their rows."""

from __future__ import annotations

import functools
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.events.aside import Aside, detail_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.control.database import ControlDatabase
    from sealward.events import aside

log = logging.getLogger(__name__)

RELAY: Final = "relay"
CELERY: Final = "celery"
TELLER: Final = "teller"
"""What tells nodes the events of the log."""
DECISIONS: Final = "decisions"
"""What decides on commands: it can decide nothing on a stream with such an event."""


class SetAside:
    """Keeps which events a part has set aside. It does so before a relay keeps its place beyond them.

    A relay that ends between the two finds the event again and sets it aside again, which changes nothing.
    """

    def __init__(self, database: ControlDatabase, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, part: str) -> aside.SetAside:
        """Return what a part calls for each event that it cannot take."""
        return functools.partial(self._put, part)

    def _put(self, part: str, position: int, topic: str, why: Exception) -> None:
        log.error("%s: event %d (%s) is set aside: %s", part, position, topic, detail_of(why))
        values = (
            position,
            part,
            escaped(topic, 255),
            reason_of(why),
            detail_of(why),
            self._clock().isoformat(),
        )
        self._database.run("put-set-aside", values)

    def all(self) -> list[Aside]:
        """Return them, in the order of the log."""
        rows, _ = self._database.run("set-aside")
        return [
            Aside(position, part, topic, reason, detail, datetime.fromisoformat(at))
            for position, part, topic, reason, detail, at in rows
        ]

    def forget(self, part: str, position: int) -> None:
        """Forget one: the part has taken it."""
        self._database.run("forget-set-aside", (position, part))
