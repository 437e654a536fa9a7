"""The control plane's own small tables in PostgreSQL."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.rows import tuple_row

from sealward.control.database import SQL, NameTaken
from sealward.events.store.postgres import Database
from sealward.events.store.sql import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.events.store.round_trip import Prefetch

STATEMENTS = {name: text.replace("?", "%s") for name, text in SQL.items()} | blocks(
    "sealward.control", "control.postgres.sql"
)


class PostgresControl:
    """Runs the named blocks through a pool; the migrations make the tables.

    The search path ends with the projections' schema, because a prefetched query (`Prefetch`) may read the
    projections' rows.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, search_path="public,main")

    def run(self, block: str, values: Sequence[object] = ()) -> tuple[list[tuple[Any, ...]], int]:
        """Run a named block; return its rows, and how many rows it changed."""
        try:
            with (
                self._database.connection() as connection,
                connection.cursor(row_factory=tuple_row) as cursor,
            ):
                cursor.execute(STATEMENTS[block], values)
                found = cursor.pgresult is not None and cursor.pgresult.nfields  # `description` costs more
                return (cursor.fetchall() if found else []), cursor.rowcount
        except psycopg.errors.UniqueViolation as taken:
            raise NameTaken from taken

    def find(
        self, block: str, values: Sequence[object], prefetch: Prefetch | None = None
    ) -> tuple[Any, ...] | None:
        """Return the row that a block finds, or None; answer `prefetch` in the same round trip.

        The first column of the row must not be NULL: NULL there says that the block found no row.
        """
        if prefetch is None:
            return self._first(STATEMENTS[block], values)
        both = self._first(_both(block, prefetch.statement), (*values, *prefetch.values))
        if both is None:
            raise AssertionError("the statement finds one row even if neither query finds a row")
        prefetch.take(both[-1])
        return None if both[0] is None else both[:-1]

    def _first(self, statement: LiteralString, values: Sequence[object]) -> tuple[Any, ...] | None:
        with self._database.connection() as connection:
            return (
                connection.cursor(row_factory=tuple_row).execute(statement, values, prepare=True).fetchone()
            )

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


@functools.cache
def _both(block: str, prefetch: LiteralString) -> LiteralString:
    """Return a statement that runs the block and `prefetch`. It finds one row, even if neither finds any."""
    return STATEMENTS["prefetch"].format(asked=STATEMENTS[block], prefetch=prefetch)
