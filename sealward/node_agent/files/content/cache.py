"""The roots of files that a node has read, the leaves under the roots, and the progress of long reads.

A root counts for a file as long as the file's device, inode, size, mtime and ctime stay the same. This saves
work and proves nothing: a process that writes to the raw device changes none of them. So files are read again
on a schedule.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.node_agent.files.content import tree
from sealward.node_agent.files.content.stamp import Known, Stamp

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_LEAVES", "RACY", "Cache", "Known", "Stamp"]

log = logging.getLogger(__name__)

SQL = blocks("sealward.node_agent.files.content", "cache.sql")
MAX_LEAVES: Final = 256 * 1024 * 1024
"""Bytes of leaves that are kept: enough for 32 TiB of images."""
RACY: Final = 2.0
"""Seconds without a change after which a read of a file counts for later, as in git's index."""


class Cache:
    """An SQLite file that only its owner can read, usable by any thread. With None it is kept in memory."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        try:
            self._open(path)
        except sqlite3.DatabaseError as broken:
            if path is None or isinstance(
                broken, sqlite3.OperationalError
            ):  # locked, or no place: not broken
                raise
            log.warning("the cache of files that were read is made anew, for %s: %s", path, broken)
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()
            self._open(path)

    def _open(self, path: Path | None) -> None:
        # All of it can be made again: no flush to disk for each file read.
        self._database = sqlite_file.private(path, flush=sqlite_file.Flush.NEVER)
        try:
            for name in ("create-digests", "create-leaves", "create-progress"):
                self._database.execute(SQL[name])
            self._known = {file: Known(*rest) for file, *rest in self._database.execute(SQL["digests"])}
        except sqlite3.Error:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def known(self, stamp: Stamp) -> Known | None:
        """Return the root of a file with that stamp, if it is known."""
        known = self._known.get(stamp.file)
        return known if known is not None and known.state == stamp.state else None

    def put(self, stamp: Stamp, root: str, hashed_at: float) -> None:
        """Keep the root of a file.

        `hashed_at` is the time at which the read began, in seconds since the epoch.
        """
        self._known[stamp.file] = Known(stamp.state, root, hashed_at)
        self._write("put-digest", stamp.file, stamp.state, root, hashed_at)

    def forget(self, stamp: Stamp) -> None:
        """Forget the root of a file."""
        if self._known.pop(stamp.file, None) is not None:
            self._write("forget-digest", stamp.file)

    def put_leaves(self, root: str, leaves: bytes | bytearray, now: float) -> None:
        """Keep the leaves under a root, so that the offset of a later change can be found."""
        self._write("put-leaves", root, leaves, now)

    def difference(self, signed: str | None, found: str | None) -> int | None:
        """Return the offset at which the files with two roots begin to differ; None where it is not known."""
        both = [self._leaves(root) for root in (signed, found)]
        if both[0] is None or both[1] is None:
            return None
        return tree.first_difference(both[0], both[1])

    def progress(self, stamp: Stamp) -> bytearray:
        """Return the leaves that are known of a file that is being read, from the first on."""
        leaves = bytearray()
        for first, digests in self._rows("progress", stamp.file, stamp.state):
            if first * tree.DIGEST == len(leaves):
                leaves += digests
        return leaves

    def keep_progress(self, stamp: Stamp, first: int, leaves: bytes) -> None:
        """Keep leaves of a file that is being read; `first` is the index of the first of them."""
        self._write("put-progress", stamp.file, stamp.state, first, leaves)

    def forget_progress(self, stamp: Stamp) -> None:
        """Forget the progress of a read."""
        self._write("forget-progress", stamp.file)

    def tidy(self, unread_since: float) -> None:
        """Forget files that were not read since then, and the oldest leaves beyond MAX_LEAVES."""
        for file in [file for file, known in self._known.items() if known.hashed_at < unread_since]:
            del self._known[file]
        self._write("forget-digests", unread_since)
        self._write("forget-leaves", MAX_LEAVES)

    def _write(self, name: str, *values: object) -> None:
        """Write a row. Where that fails, for a full disk, the agent goes on with more work later."""
        try:
            with self._lock:
                self._database.execute(SQL[name], values)
        except sqlite3.Error as failed:
            log.warning("what is known of files is not kept: %s", failed)

    def _rows(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        """Return rows; none where they cannot be read."""
        try:
            with self._lock:
                return self._database.execute(SQL[name], values).fetchall()
        except sqlite3.Error as failed:
            log.warning("what is known of files is not read: %s", failed)
            return []

    def _leaves(self, root: str | None) -> bytes | None:
        rows = self._rows("leaves", root)
        return bytes(rows[0][0]) if rows else None
