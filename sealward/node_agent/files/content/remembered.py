"""What a node's agent knows of files, read without it: nothing is written, and only what is asked is read."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from sealward.events.store.sql import blocks
from sealward.node_agent.files.content.stamp import Known

if TYPE_CHECKING:
    from sealward.node_agent.files.content.stamp import Stamp

SQL: Final = blocks("sealward.node_agent.files.content", "cache.sql")


class Remembered:
    """The file of a `Cache` at `path`; where there is none, nothing is known."""

    def __init__(self, path: str) -> None:
        self._path = path

    def known(self, stamp: Stamp) -> Known | None:
        """Return what is known of a file in that state."""
        quoted = self._path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        try:
            with contextlib.closing(sqlite3.connect(f"file:{quoted}?mode=ro", uri=True)) as database:
                row = database.execute(SQL["digest"], (stamp.file,)).fetchone()
        except sqlite3.Error:
            return None
        known = None if row is None else Known(*row)
        return known if known is not None and known.state == stamp.state else None
