"""The database that holds the rows of the projections: SQLite or PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from sealward.events.store.round_trip import Prefetch
    from sealward.projections.store.tables import Tables, Values


class Backend(Protocol):
    """A database that holds the tables. Each method raises StoreUnavailable when the database is away."""

    refusals: tuple[type[Exception], ...]
    """The exceptions that the database raises for values that it does not accept."""

    def reading(self) -> contextlib.AbstractContextManager[Tables]:
        """Give the tables for reading. On PostgreSQL each query sees the rows as of that query."""

    def prefetch(self, block: str, values: Values) -> Prefetch | None:
        """Return a block that finds one row as an extra question for the next round trip.

        None where a round trip costs nothing: the caller then runs the block by itself.
        """

    def snapshot(self) -> contextlib.AbstractContextManager[Tables]:
        """Give the tables for reading. All queries see the rows as of one moment."""

    def writing(self) -> contextlib.AbstractContextManager[Tables]:
        """Give the tables for writing, in one transaction; other writers wait until the transaction ends.

        The transaction is committed when the `with` block ends, and undone when the `with` block raises.
        """

    def shadow(self) -> contextlib.AbstractContextManager[Backend]:
        """Give a second, empty database, which SQL inside `writing()` reaches as the schema `shadow`."""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call `wake` from now on after each change of the rows by another process."""

    def close(self) -> None:
        """Close all connections."""
