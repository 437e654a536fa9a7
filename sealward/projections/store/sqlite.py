"""The projections' tables in an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.events.store import sqlite_file
from sealward.events.store.store import available
from sealward.projections.store.tables import SqliteTables, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.projections.store.tables import Tables, Values


REFUSALS: Final[tuple[type[Exception], ...]] = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
)
"""The errors of SQLite for values that it cannot store. A file out of reach raises other errors."""
PATIENCE: Final = 30.0
"""Seconds to wait for another connection that writes to the file."""


class SqliteBackend:
    """The tables in an SQLite file. Each thread has a connection of its own."""

    refusals = REFUSALS

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._opened: list[sqlite3.Connection] = []
        self._own = threading.local()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Tables]:
        """Give the tables for reading. All queries see the rows of the same moment."""
        with available():
            cursor = self._connection().cursor()
            cursor.execute("BEGIN")
            try:
                yield SqliteTables(cursor)
            finally:
                cursor.execute("ROLLBACK")

    snapshot = reading

    def prefetch(self, block: str, values: Values) -> None:
        """Return None: a query on a file costs no round trip, so nothing is prefetched."""

    @contextlib.contextmanager
    def writing(self) -> Iterator[Tables]:
        """Give the tables for writing; other writers wait until the `with` block ends."""
        with available():
            cursor = self._connection().cursor()
            cursor.execute("BEGIN")
            cursor.execute(statements("sqlite")["database.lock"])  # BEGIN IMMEDIATE would lock a shadow, too
            try:
                yield SqliteTables(cursor)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    @contextlib.contextmanager
    def shadow(self) -> Iterator[SqliteBackend]:
        """Attach a second file, in a folder of its own, to the calling thread's connection."""
        with tempfile.TemporaryDirectory(prefix="sealward-replay-") as folder:
            path = Path(folder) / "shadow.sqlite"
            shadow = SqliteBackend(path)
            self._connection().execute(statements("sqlite")["database.attach-shadow"], (str(path),))
            try:
                yield shadow
            finally:
                self._connection().execute(statements("sqlite")["database.detach-shadow"])
                shadow.close()

    def on_change(self, wake: Callable[[], None]) -> None:
        """Do nothing: only this process changes the rows."""

    def close(self) -> None:
        """Close the file for all threads."""
        for connection in self._opened:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite_file.connected(
                self._path, patience=PATIENCE, flush=sqlite_file.Flush.CHECKPOINTS
            )
            connection.row_factory = sqlite3.Row
            connection.execute(statements("sqlite")["database.create-position"])
            self._own.connection = connection
            self._opened.append(connection)
        return connection
