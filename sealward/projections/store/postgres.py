"""The projections' tables in a PostgreSQL schema of their own: `main`, or `shadow` for a replay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec
import psycopg

from sealward.events.store.postgres import REFUSALS, Database
from sealward.events.store.postgres_listener import Listener
from sealward.events.store.round_trip import Prefetch
from sealward.projections.store.tables import NOTHING, positional, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealward.events.store.postgres_connections import Connection
    from sealward.projections.store.tables import Row, Tables, Values

A_LOT: Final = 200
"""Rows from which on COPY is worth leaving the pipeline for."""
CHANNEL: Final = "sealward_rows"


class PostgresTables:
    """Rows of a PostgreSQL schema, on a connection whose search path names it."""

    def __init__(self, connection: Connection, pipelines: contextlib.ExitStack | None = None) -> None:
        self._connection = connection
        self._pipelines = pipelines
        self._statements = statements("postgres")
        self._pipelined()

    def one(self, block: str, values: Values = NOTHING) -> Row | None:
        """Return the first row that a block finds."""
        return self._connection.execute(self._text(block), values).fetchone()

    def all(self, block: str, values: Values = NOTHING) -> Sequence[Row]:
        """Return the rows that a block finds."""
        return self._connection.execute(self._text(block), values).fetchall()

    def run(self, block: str, values: Values = NOTHING) -> None:
        """Run a block that returns no rows."""
        self._connection.execute(self._text(block), values)

    def many(self, block: str, batch: Sequence[Values]) -> None:
        """Run a block for many rows.

        A block with a `-copy` form gets many rows by COPY, twice as fast as from JSON. A block with a
        `-batch` form gets all rows as a JSON array, in the pipeline.
        """
        if not batch:
            return
        whole = f"{block}-batch"
        if len(batch) >= A_LOT and f"{block}-copy" in self._statements:
            self._copy(f"{block}-copy", batch)
        elif whole in self._statements:
            self.run(whole, {"batch": msgspec.json.encode(batch).decode()})
        else:
            self._connection.cursor().executemany(self._text(block), batch)

    def _copy(self, block: str, batch: Sequence[Values]) -> None:
        if self._pipelines is not None:
            self._pipelines.close()  # there is no COPY in a pipeline
        with self._connection.cursor().copy(self._text(block)) as copy:
            for values in batch:
                copy.write_row(tuple(values.values()))
        self._pipelined()

    def _pipelined(self) -> None:
        """Begin a pipeline: statements without results are sent without waiting for each."""
        if self._pipelines is not None:
            self._pipelines.enter_context(self._connection.pipeline())

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo the statements of the `with` block when it raises. There is no pipeline inside the block."""
        pipelines, self._pipelines = self._pipelines, None
        if pipelines is not None:
            pipelines.close()
        try:
            with self._connection.transaction():
                yield
        finally:
            self._pipelines = pipelines
            self._pipelined()

    def _text(self, block: str) -> LiteralString:
        return self._statements[block]


class PostgresBackend:
    """A schema of a database, through a pool of connections with this schema as search path."""

    refusals = REFUSALS

    def __init__(self, url: str, schema: str = "main") -> None:
        self._url = url
        self._schema = schema
        with Database(url) as database, database.connection() as connection:
            found = connection.execute(
                statements("postgres")["database.schema"], {"schema": schema}
            ).fetchone()
            if found is None or found["schema"] is None:
                connection.execute(self._named("CREATE SCHEMA IF NOT EXISTS {}"))
        self._database = Database(url, search_path=schema)
        self._listeners: list[Listener] = []

    @contextlib.contextmanager
    def reading(self) -> Iterator[Tables]:
        """Give the rows, each query on its own."""
        with self._database.connection() as connection:
            yield PostgresTables(connection)

    def prefetch(self, block: str, values: Values) -> Prefetch:
        """Return a block as a query to be sent with another query to the same database."""
        statement, names = positional(block)
        return Prefetch(statement, tuple(values[name] for name in names))

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Tables]:
        """Give the tables for reading. All queries see the rows of the same moment."""
        with self._database.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield PostgresTables(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Tables]:
        """Give the tables for writing; other writers wait until the `with` block ends."""
        with self._database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(7265462, hashtext(%s))", (self._schema,))
            with contextlib.ExitStack() as pipelines:
                yield PostgresTables(connection, pipelines)

    @contextlib.contextmanager
    def shadow(self) -> Iterator[PostgresBackend]:
        """Make the schema `shadow`, and drop it at the end. A second caller waits until it is dropped."""
        with self._database.connection() as connection:
            connection.execute("SELECT pg_advisory_lock(7265463)")
            try:
                connection.execute("DROP SCHEMA IF EXISTS shadow CASCADE")
                shadow = PostgresBackend(self._url, "shadow")
                try:
                    yield shadow
                finally:
                    shadow.close()
                    connection.execute("DROP SCHEMA IF EXISTS shadow CASCADE")
            finally:
                connection.execute("SELECT pg_advisory_unlock(7265463)")

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on after each change of the rows by any process."""
        self._listeners.append(Listener(self._url, CHANNEL, wake))

    def close(self) -> None:
        """Close all connections."""
        for one in self._listeners:
            one.stop()
        self._database.close()

    def _named(self, statement: LiteralString) -> psycopg.sql.Composed:
        return psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(self._schema))
