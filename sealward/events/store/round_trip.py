"""Prefetching: a query is sent to the database together with another query, in one round trip.

A request first looks up its token, and most requests then read one row. Two separate round trips for these
two queries would take most of the time of the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealward.events import typed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import LiteralString


@dataclass(slots=True)
class Prefetch:
    """A statement (`%s` for its values) that finds at most one row, and runs together with another statement.

    `asked` says whether the statement has run; if not, the caller runs the query by itself. `row` is the row
    that it found, or None.
    """

    statement: LiteralString
    values: tuple[object, ...]
    asked: bool = False
    row: Mapping[str, Any] | None = None

    def answers(self, *values: object) -> bool:
        """Say whether the statement has run with these values."""
        return self.asked and self.values == values

    def take(self, found: str | None) -> None:
        """Keep the row that the statement found, as JSON, or None."""
        self.asked = True
        self.row = None if found is None else typed.decode(found, dict[str, Any])
