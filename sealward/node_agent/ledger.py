"""What a node keeps on its own disk: the sealed references of its servers, and how far its clock went."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sealward.events.sql import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SQL = blocks("sealward.node_agent", "ledger.sql")
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """The reference in force of one server: a sealed envelope as JSON text."""

    server_id: str
    sign_id: int
    generation: int
    envelope: str


class Ledger:
    """An SQLite file for its owner alone; safe for the threads of one agent."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for statement in ("PRAGMA journal_mode=WAL", SQL["create-entries"], SQL["create-facts"]):
            self._database.execute(statement)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def entries(self) -> list[Entry]:
        """Return all entries by sign_id."""
        with self._lock:
            return [Entry(*row) for row in self._database.execute(SQL["entries"])]

    def put(self, entry: Entry) -> None:
        """Keep an entry, unless a newer one of that server is kept already."""
        with self._lock:
            self._put(entry)

    def remove(self, server_id: str) -> None:
        """Forget a server."""
        with self._lock:
            self._database.execute(SQL["remove"], (server_id,))

    def replace_all(self, entries: Iterable[Entry]) -> None:
        """Keep these entries and no others, in one transaction."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["clear"])
            for entry in entries:
                self._put(entry)

    def fact(self, name: str) -> str | None:
        """Return a fact that was kept under that name."""
        with self._lock:
            row = self._database.execute(SQL["fact"], (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a fact under that name."""
        with self._lock:
            self._database.execute(SQL["keep-fact"], (name, value))

    def next_moment(self, now: datetime) -> datetime:
        """Return `now`, or just after the moment given out last when the clock went back."""
        last = self.fact("last-moment")
        moment = now if last is None else max(now, datetime.fromisoformat(last) + _TICK)
        self.keep_fact("last-moment", moment.isoformat())
        return moment

    def _put(self, entry: Entry) -> None:
        values = (entry.server_id, entry.sign_id, entry.generation, entry.envelope)
        self._database.execute(SQL["put"], values)
