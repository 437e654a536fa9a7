"""Nodes that could not be told something: they have to be told everything anew.

It is kept, so that another worker goes on with it. What was missed is not: the log has it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.control.database import ControlDatabase


class Untold:
    """By hostname the position of the last event that a node was not told. All raise StoreUnavailable."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def note(self, missed: Mapping[str, int]) -> None:
        """Note nodes that could not be told of an event, and its position."""
        if missed:
            self._database.run("note-untold", (json.dumps(dict(sorted(missed.items()))),))

    def all(self) -> dict[str, int]:
        """Return all nodes that are to be told everything anew."""
        rows, _ = self._database.run("untold")
        return {str(hostname): int(position) for hostname, position in rows}

    def forget(self, hostname: str, position: int) -> None:
        """Forget a node that was told to ask, unless it missed something later than that position."""
        self._database.run("forget-untold", (hostname, position))
