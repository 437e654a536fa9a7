"""Build all projections anew from the log: in a shadow of the rows in use, compared, then swapped in."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sealward.projections.database import Projections
from sealward.projections.tables import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.events.store import EventStore
    from sealward.projections.tables import Tables


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that only one side has: one that stood there (`stood`), or one that the log gives."""

    table: str
    stood: bool
    row: tuple[object, ...]

    def __str__(self) -> str:
        """Read as one line of a report."""
        return f"{self.table}: {'-' if self.stood else '+'} {self.row}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found: how many events, up to which position, and where the rows in use were wrong."""

    events: int
    position: int
    differences: tuple[Difference, ...]


def replay(store: EventStore, projections: Projections, progress: Callable[[int], object]) -> Replayed:
    """Rebuild, compare and swap; `progress` hears of every batch how many events it had.

    Beside a running control plane: rows stay readable, and writable but for the moment of the swap.
    """
    with tempfile.TemporaryDirectory(prefix="sealward-replay-") as folder:
        path = Path(folder) / "shadow.sqlite"
        shadow = Projections(path)
        try:
            events = _catch_up(store, shadow, progress)
            return _swap(store, projections, shadow, path, events)
        finally:
            shadow.close()


def _catch_up(store: EventStore, shadow: Projections, progress: Callable[[int], object]) -> int:
    events = 0
    while batch := shadow.advance(store):
        events += batch
        progress(batch)
    return events


def _swap(
    store: EventStore, projections: Projections, shadow: Projections, path: Path, events: int
) -> Replayed:
    """Hold the rows in use still, bring both sides to one position, compare, and take the shadow's rows."""
    with _attached(projections, path), projections.writing() as tables:
        while projections.fold(store, tables):
            pass
        position = projections.position(tables)
        while shadow.position_now() < position:
            events += shadow.advance(store)
        differences = [one for table in projections.all for one in _replace(table.name, tables)]
        projections.keep_position(tables, shadow.position_now())
    return Replayed(events, position, tuple(differences))


@contextlib.contextmanager
def _attached(projections: Projections, path: Path) -> Iterator[None]:
    connection = projections.connection()
    connection.execute(statements("sqlite")["replay.attach"], (str(path),))
    try:
        yield
    finally:
        connection.execute(statements("sqlite")["replay.detach"])


def _replace(table: str, tables: Tables) -> list[Difference]:
    found = tables.all(f"replay.{table}-wrong")
    wrong = [Difference(table, stood=True, row=tuple(row)) for row in found]
    found = tables.all(f"replay.{table}-missing")
    missing = [Difference(table, stood=False, row=tuple(row)) for row in found]
    if wrong or missing:
        tables.run(f"replay.{table}-clear")
        tables.run(f"replay.{table}-fill")
    return [*wrong, *missing]
