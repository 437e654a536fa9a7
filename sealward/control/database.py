"""The control plane's own small tables: data that is neither an event of the log nor derived from events."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.events.store.store import available

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sealward.events.store.round_trip import Prefetch

SQL = blocks("sealward.control", "control.sql")
PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes to the file."""


class ControlDatabase(Protocol):
    """Runs named blocks of SQL. Raises StoreUnavailable, and NameTaken when a row has the same key."""

    def run(self, block: str, values: Sequence[object] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Run a named block; return its rows, and how many rows it changed."""

    def find(
        self, block: str, values: Sequence[object], prefetch: Prefetch | None = None
    ) -> tuple[Any, ...] | None:
        """Return the row that a block finds, or None.

        A database that costs a round trip answers the query `prefetch` in the same round trip.
        """

    def close(self) -> None:
        """Close all connections."""


class NameTaken(Exception):
    """There is a row of that name already."""


class SqliteControl:
    """An SQLite file for its owner alone; safe for many threads and beside other processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite_file.private(path, patience=PATIENCE)
        self._create()

    def _create(self) -> None:
        for table in (
            "leases",
            "places",
            "tokens",
            "progress",
            "turns",
            "unproven",
            "relays_set_aside",
            "untold",
            "checkpoints",
            "webhooks",
            "deliveries",
        ):
            self._database.execute(SQL[f"create-{table}"])

    def run(self, block: str, values: Sequence[object] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Run a named block; return its rows, and how many rows it changed."""
        try:
            with self._lock, available():
                cursor = self._database.execute(SQL[block], values)
                return cursor.fetchall(), cursor.rowcount
        except sqlite3.IntegrityError as taken:
            raise NameTaken from taken

    def find(
        self, block: str, values: Sequence[object], prefetch: Prefetch | None = None
    ) -> tuple[Any, ...] | None:
        """Return the row that a block finds, or None. `prefetch` is not run: a file costs no round trip."""
        del prefetch
        rows, _ = self.run(block, values)
        return rows[0] if rows else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


class ControlPosition:
    """How far a relay has come, kept in the control plane's own tables."""

    def __init__(self, database: ControlDatabase, name: str) -> None:
        self._database = database
        self._name = name

    def load(self) -> int:
        """Return the position up to which all was published."""
        rows, _ = self._database.run("place", (self._name,))
        return int(rows[0][0]) if rows else 0

    def keep(self, position: int) -> None:
        """Keep the position."""
        self._database.run("keep-place", (self._name, position))

    def begin(self, position: int) -> None:
        """Keep the position, unless a position was kept before."""
        self._database.run("begin-place", (self._name, position))
