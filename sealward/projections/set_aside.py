"""The events that the projections could not fold. Rows and position change in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.events.set_aside import Aside, detail_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Tables

PART: Final = "projections"


class SetAside:
    """The projection of set-aside events. A replay folds each of them again, and may succeed then."""

    name = "set_aside"
    part = PART

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("set_aside.drop")
        tables.run("set_aside.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("set_aside.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Do nothing: `Projections` calls `put` for each event that a projection could not fold."""

    def put(self, tables: Tables, position: int, topic: str, why: Exception, now: datetime) -> None:
        """Add the event at a position, with the exception that its folding raised."""
        values = {
            "position": position,
            "topic": escaped(topic, 255),
            "reason": reason_of(why),
            "detail": detail_of(why),
            "at": now.isoformat(),
        }
        tables.run("set_aside.put", values)

    def all(self, tables: Tables) -> list[Aside]:
        """Return the events that were set aside, in the order of the log."""
        return [
            Aside(
                found["position"],
                PART,
                found["topic"],
                found["reason"],
                found["detail"],
                datetime.fromisoformat(found["at"]),
            )
            for found in tables.all("set_aside.all")
        ]

    def count(self, tables: Tables) -> int:
        """Return how many events are set aside."""
        found = tables.one("set_aside.count")
        return int(found["events"]) if found else 0
