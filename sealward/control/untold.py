"""The nodes that missed a message of the control plane and therefore have to register again.

A table keeps the nodes, so that another worker can continue. The log keeps the events that were missed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.control.database import ControlDatabase


class Untold:
    """The position of the last missed event, by hostname. All methods raise StoreUnavailable."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def note(self, missed: Mapping[str, int]) -> None:
        """Add nodes that missed an event, with the event's position."""
        if missed:
            self._database.run("note-untold", (json.dumps(dict(sorted(missed.items()))),))

    def all(self) -> dict[str, int]:
        """Return all nodes that have to register again."""
        rows, _ = self._database.run("untold")
        return {str(hostname): int(position) for hostname, position in rows}

    def forget(self, hostname: str, position: int) -> None:
        """Delete a node that was told to register, unless it missed an event beyond `position`."""
        self._database.run("forget-untold", (hostname, position))
