"""The control plane's own small tables in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

from sealward.commands.control import SQL, NameTaken
from sealward.events.postgres import Database
from sealward.events.sql import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

STATEMENTS = {name: text.replace("?", "%s") for name, text in SQL.items()} | blocks(
    "sealward.commands", "control.postgres.sql"
)


class PostgresControl:
    """Runs the named blocks through a pool; the tables come with the migrations."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

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

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
