"""How many events of each kind the log has."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.tables import Tables


class Totals:
    """Counts the events by topic."""

    name = "totals"

    def reset(self, tables: Tables) -> None:
        """Begin with no rows."""
        tables.run("totals.drop")
        tables.run("totals.create")

    def create(self, tables: Tables) -> None:
        """Make the table where there is none."""
        tables.run("totals.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Count a batch."""
        counted = Counter(one.event.topic for one in batch)
        tables.many("totals.add", [{"topic": topic, "events": more} for topic, more in counted.items()])

    def by_topic(self, tables: Tables) -> dict[str, int]:
        """Return how many events of each topic there are; a topic without any is left out."""
        return {found["topic"]: found["events"] for found in tables.all("totals.all")}
