"""The number of events of each topic in the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Tables


class Totals:
    """The projection of totals: one row for each topic."""

    name = "totals"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("totals.drop")
        tables.run("totals.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("totals.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Add the events of a batch to the totals."""
        counted = Counter(one.event.topic for one in batch)
        tables.many("totals.add", [{"topic": topic, "events": more} for topic, more in counted.items()])

    def by_topic(self, tables: Tables) -> dict[str, int]:
        """Return the number of events by topic. A topic without events is left out."""
        return {found["topic"]: found["events"] for found in tables.all("totals.all")}
