"""How projections reach their tables: named blocks of SQL, the same for every database."""

from __future__ import annotations

import contextlib
import re
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, LiteralString, Protocol

from sealward.events.store.sql import blocks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    Values = Mapping[str, object]
    Row = Mapping[str, Any]

PACKAGES: Final = ("sealward.projections.store", "sealward.projections")
"""The packages whose .sql files are read."""
PLACEHOLDER: Final = re.compile(r"(?<!:):([a-z_]+)")
"""`:name`, as SQLite has it; `::` is PostgreSQL's cast."""
NAMED: Final = re.compile(r"%\(([a-z_]+)\)s")
"""`%(name)s`, as psycopg has it."""
_WHOLE: Final = 2**63 - 1
"""The limit for a list without a limit."""
NOTHING: Final[dict[str, object]] = {}


def up_to(limit: int | None) -> int:
    """Return the value of LIMIT in a block for a list of at most `limit` rows; None is for the whole list."""
    return _WHOLE if limit is None else limit


class Tables(Protocol):
    """A transaction on the tables. A block is named `file.block`: `signs.by-server`."""

    def one(self, block: str, values: Values = NOTHING) -> Row | None:
        """Return the first row that a block finds."""

    def all(self, block: str, values: Values = NOTHING) -> Sequence[Row]:
        """Return the rows that a block finds."""

    def run(self, block: str, values: Values = NOTHING) -> None:
        """Run a block that returns no rows."""

    def many(self, block: str, batch: Sequence[Values]) -> None:
        """Run a block for each of many rows."""

    def attempt(self) -> contextlib.AbstractContextManager[None]:
        """Undo the statements of the `with` block, and only these, when it raises."""


class SqliteTables:
    """Rows of an SQLite file, on a cursor inside a transaction."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self._statements = statements("sqlite")

    def one(self, block: str, values: Values = NOTHING) -> Row | None:
        """Return the first row that a block finds."""
        found: Row | None = self._cursor.execute(self._statements[block], values).fetchone()
        return found

    def all(self, block: str, values: Values = NOTHING) -> Sequence[Row]:
        """Return the rows that a block finds."""
        return self._cursor.execute(self._statements[block], values).fetchall()

    def run(self, block: str, values: Values = NOTHING) -> None:
        """Run a block that returns no rows."""
        self._cursor.execute(self._statements[block], values)

    def many(self, block: str, batch: Sequence[Values]) -> None:
        """Run a block for each of many rows."""
        self._cursor.executemany(self._statements[block], batch)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo the statements of the `with` block, and only these, when it raises."""
        self._cursor.execute(self._statements["database.savepoint"])
        try:
            yield
        except BaseException:
            self._cursor.execute(self._statements["database.rollback"])
            raise
        finally:
            self._cursor.execute(self._statements["database.release"])


@cache
def positional(block: str) -> tuple[LiteralString, tuple[str, ...]]:
    """Return a block for PostgreSQL with `%s` for its values, and their names in that order."""
    text = statements("postgres")[block]
    return NAMED.sub("%s", text), tuple(NAMED.findall(text))


@cache
def statements(dialect: str) -> Mapping[str, LiteralString]:
    """Return the blocks of all .sql files of the projections, by `file.block`, for `sqlite` or `postgres`.

    A block of `signs.sqlite.sql` takes the place of the block with the same name in `signs.sql`.
    """
    found: dict[str, LiteralString] = {}
    for package in PACKAGES:
        for file, name in _files(package, dialect):
            read = blocks(package, name)
            found.update({f"{file}.{block}": text for block, text in read.items()})
    if dialect == "postgres":
        found = {name: PLACEHOLDER.sub(r"%(\1)s", text) for name, text in found.items()}
    return MappingProxyType(found)


def _files(package: str, dialect: str) -> list[tuple[str, str]]:
    """Return the .sql files of a package that a database reads, as (name without suffixes, file name).

    The files for one database come after the files for all databases.
    """
    names = [one.name for one in resources.files(package).iterdir()]
    general = [(name.removesuffix(".sql"), name) for name in names if name.endswith(".sql")]
    shared = sorted((file, name) for file, name in general if "." not in file)
    special = sorted(
        (file.removesuffix(f".{dialect}"), name) for file, name in general if file.endswith(f".{dialect}")
    )
    return [*shared, *special]
