"""Two questions in one round trip: whoever must ask one thing anyway takes another along.

A request has to know its token before anything else, and most then read one row. Asked one after the other
that is two round trips to the database, which are most of what such a request costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealward.events import typed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import LiteralString


@dataclass(slots=True)
class Along:
    """A statement (`%s` for its values) that finds one row at most, asked along with another.

    `row` is what it has found, None when there is none. Where it was not `asked`, ask by yourself.
    """

    statement: LiteralString
    values: tuple[object, ...]
    asked: bool = False
    row: Mapping[str, Any] | None = None

    def answers(self, *values: object) -> bool:
        """Say whether it was asked, and for these values."""
        return self.asked and self.values == values

    def take(self, found: str | None) -> None:
        """Keep what it has found: a row as JSON, or None."""
        self.asked = True
        self.row = None if found is None else typed.decode(found, dict[str, Any])
