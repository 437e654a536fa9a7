"""The newest generation that a node ever had of each reference, in a file beside the ledger.

An older copy of a ledger, put back, has references that verify and are no longer in force.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SQL: Final = blocks("sealward.node_agent.ledger", "generations.sql")


class Generations:
    """An SQLite file for its owner alone; safe for the threads of one agent."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite_file.private(path)
        self._database.execute(SQL["create-generations"])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def note(self, server_id: str, sign_id: int, generation: int) -> None:
        """Note a generation of a reference. A generation older than the noted one changes nothing."""
        with self._lock:
            self._database.execute(SQL["note"], (server_id, sign_id, generation))

    def forget(self, server_id: str) -> None:
        """Forget a server that is no longer signed."""
        with self._lock:
            self._database.execute(SQL["forget"], (server_id,))

    def replace_all(self, noted: Iterable[tuple[str, int, int]]) -> None:
        """Note these generations, and forget all other servers, in one transaction."""
        rows = list(noted)
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["forget-others"], (json.dumps([row[0] for row in rows]),))
            self._database.executemany(SQL["note"], rows)
