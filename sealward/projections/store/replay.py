"""Build all projections anew from the log: in a shadow of the rows in use, compared, then swapped in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealward.projections.store.database import Projections
from sealward.projections.tree import first_changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.store.store import EventStore
    from sealward.projections.store.tables import Tables


@dataclass(frozen=True, slots=True)
class Difference:
    """A row in which the rows in use and the replayed rows differ.

    `stood` is True for a row that only the rows in use had, False for a row that only the replay has.
    """

    table: str
    stood: bool
    row: tuple[object, ...]

    def __str__(self) -> str:
        """Return the difference as a line of a report."""
        return f"{self.table}: {'-' if self.stood else '+'} {self.row}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay: the number of events, the last position, and the rows that differed."""

    events: int
    position: int
    differences: tuple[Difference, ...]
    changed: int | None = None
    """The position of the first event whose leaf in the tree differs: the log or the tree has been changed.
    None when all leaves are as they were."""


def replay(
    store: EventStore,
    projections: Projections,
    progress: Callable[[int], object],
    *,
    adopts: bool = False,
) -> Replayed:
    """Rebuild, compare and swap. `progress` is called with the number of events of each batch.

    A control plane may run meanwhile: rows stay readable, and stay writable except during the swap.

    When an event has changed since it was folded into the tree, the rows stay as they are, and the result
    names the first changed event. With `adopts` the rows are swapped all the same.
    """
    with projections.backend.shadow() as backend:
        shadow = Projections(backend)
        events = 0
        for batch in shadow.catch_up(store):
            events += batch
            progress(batch)
        return _swap(store, projections, shadow, events, adopts=adopts)


def _swap(
    store: EventStore, projections: Projections, shadow: Projections, events: int, *, adopts: bool
) -> Replayed:
    """Lock the rows in use, bring both sides to the same position, compare, and take the shadow's rows."""
    with projections.writing() as tables:
        while projections.fold(store, tables, one_by_one=True):
            pass
        position = projections.position(tables)
        while batch := shadow.advance(store, until=position):
            events += batch
        changed = first_changed(tables)
        if changed is not None and not adopts:
            return Replayed(events, position, (), changed)
        differences = [one for table in projections.all for one in _replace(table.name, tables)]
    return Replayed(events, position, tuple(differences), changed)


def _replace(table: str, tables: Tables) -> list[Difference]:
    found = tables.all(f"{table}.wrong")
    wrong = [Difference(table, stood=True, row=tuple(dict(row).values())) for row in found]
    found = tables.all(f"{table}.missing")
    missing = [Difference(table, stood=False, row=tuple(dict(row).values())) for row in found]
    if wrong or missing:
        tables.run(f"{table}.clear")
        tables.run(f"{table}.fill")
    return [*wrong, *missing]
