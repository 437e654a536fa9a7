"""The interface of all projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Tables


class Projection(Protocol):
    """Derives the rows of one table from the log. The rows depend on the log alone, not on the batches.

    `name` is the table's name. The file `NAME.sql` has the blocks with which a replay compares the table
    with its shadow and replaces its rows: `wrong`, `missing`, `clear` and `fill`.
    """

    name: str

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in the order of the log, into the rows."""
