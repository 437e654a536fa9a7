"""The projections' SQLite file: rows and the position they stand for, changed in one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Final, Protocol

from sealward.events.store import available
from sealward.projections.history import History
from sealward.projections.nodes import Nodes
from sealward.projections.servers import Servers
from sealward.projections.signs import Signs
from sealward.projections.tables import SqliteTables
from sealward.projections.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from sealward.events.base import Recorded
    from sealward.events.store import EventStore
    from sealward.projections.tables import Tables

SHAPE: Final = "1"
"""Names the shape of all rows together; rows of another shape are built anew at start."""
BATCH: Final = 1000


class Projection(Protocol):
    """Derives rows from the log. Whatever the batches, the same log gives the same rows."""

    name: str

    def reset(self, tables: Tables) -> None:
        """Begin with no rows."""

    def create(self, tables: Tables) -> None:
        """Make the table where there is none."""

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""


class Projections:
    """All projections over one file. Safe for many threads and beside other processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.signs = Signs()
        self.nodes = Nodes()
        self.servers = Servers()
        self.tasks = Tasks()
        self.history = History()
        self.all: tuple[Projection, ...] = (self.signs, self.nodes, self.servers, self.tasks, self.history)
        self._path = path
        self._opened: list[sqlite3.Connection] = []
        self._own = threading.local()
        self._advanced = threading.Condition()
        self._set_up()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Tables]:
        """Give one consistent state of all rows."""
        with available():
            cursor = self.connection().cursor()
            cursor.execute("BEGIN")
            try:
                yield SqliteTables(cursor)
            finally:
                cursor.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Tables]:
        """Give rows that alone may be written; what was written counts when the block ends without error."""
        with available():
            cursor = self.connection().cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTables(cursor)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def position(self, tables: Tables) -> int:
        """Return the position of the log that the rows stand for."""
        found = tables.one("database.position")
        return int(found["value"]) if found else 0

    def advance(self, store: EventStore) -> int:
        """Fold the next batch of the log into the rows; return how many events it had."""
        with self.writing() as tables:
            events = self.fold(store, tables)
        if events:
            with self._advanced:
                self._advanced.notify_all()
        return events

    def fold(self, store: EventStore, tables: Tables) -> int:
        """Do the same inside a transaction of the caller."""
        batch = store.follow(self.position(tables), BATCH)
        if batch:
            for projection in self.all:
                projection.apply(batch, tables)
            self.keep_position(tables, batch[-1].position)
        return len(batch)

    def keep_position(self, tables: Tables, position: int) -> None:
        """Say which position the rows stand for."""
        tables.run("database.set-position", {"value": position, "shape": SHAPE})

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until the rows stand for that position or a later one; say whether they do."""
        with self._advanced:
            return self._advanced.wait_for(lambda: self.position_now() >= position, timeout)

    def wait_until(self, done: Callable[[Tables], bool], timeout: float) -> bool:
        """Wait until the rows are as `done` wants them; say whether they are."""

        def look() -> bool:
            with self.reading() as tables:
                return done(tables)

        with self._advanced:
            return self._advanced.wait_for(look, timeout)

    def close(self) -> None:
        """Close the file for all threads."""
        for connection in self._opened:
            connection.close()

    def position_now(self) -> int:
        """Return the position that the rows stand for now."""
        with self.reading() as tables:
            return self.position(tables)

    def _set_up(self) -> None:
        with self.writing() as tables:
            tables.run("database.create-position")
            found = tables.one("database.position")
            if found is not None and found["shape"] == SHAPE:
                return
            for projection in self.all:
                projection.reset(tables)
            self.keep_position(tables, 0)

    def connection(self) -> sqlite3.Connection:
        """Return the calling thread's own connection."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            self._own.connection = connection
            self._opened.append(connection)
        return connection
