"""Read-only access to the roots that a node's agent has cached, for processes other than the agent."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.node_agent.files.content.stamp import Known

if TYPE_CHECKING:
    from sealward.node_agent.files.content.stamp import Stamp

SQL: Final = blocks("sealward.node_agent.files.content", "cache.sql")


class Remembered:
    """The file of a `Cache` at `path`. Where there is no file, no root is known."""

    def __init__(self, path: str) -> None:
        self._path = path

    def known(self, stamp: Stamp) -> Known | None:
        """Return the root of a file with that stamp, if it is known."""
        try:
            with sqlite_file.reading(self._path) as database:
                row = database.execute(SQL["digest"], (stamp.file,)).fetchone()
        except sqlite3.Error:
            return None
        known = None if row is None else Known(*row)
        return known if known is not None and known.state == stamp.state else None
