"""The control plane's own small tables: what is neither a fact about a sign nor derived from one."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from sealward.events.sql import blocks
from sealward.events.store import available

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SQL = blocks("sealward.commands", "control.sql")


class ControlDatabase:
    """An SQLite file for its owner alone; safe for many threads and beside other processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", SQL["create-leases"], SQL["create-tokens"]):
            self._database.execute(statement)

    def run(self, block: str, values: Sequence[object] = ()) -> tuple[list[tuple[str, ...]], int]:
        """Run a named block; return its rows, and how many rows it changed."""
        with self._lock, available():
            cursor = self._database.execute(SQL[block], values)
            return cursor.fetchall(), cursor.rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()
