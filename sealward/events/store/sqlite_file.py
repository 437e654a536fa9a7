"""Opens SQLite files. Connections commit each statement by itself, and any thread may use them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE: Final = 5.0
"""Seconds to wait for another connection that writes to the file."""
READING_PATIENCE: Final = 0.3
"""Seconds that a connection for reading alone waits for a connection that writes to the file."""


class Flush(Enum):
    """When SQLite waits for the disk: https://www.sqlite.org/pragma.html#pragma_synchronous."""

    EACH_COMMIT = "PRAGMA synchronous=FULL"
    CHECKPOINTS = "PRAGMA synchronous=NORMAL"
    """A power failure can take the last commits; it does not break the file."""
    NEVER = "PRAGMA synchronous=OFF"
    """A power failure can break the file."""


def private(
    path: Path | None, *, patience: float = PATIENCE, flush: Flush = Flush.EACH_COMMIT
) -> sqlite3.Connection:
    """Open a file that only its owner can read, and make it and its folder where they are missing.

    With None, all is kept in memory. Raises sqlite3.Error, OSError.
    """
    if path is None:
        return connected(":memory:", patience=patience, flush=flush)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file that exists is not opened: to close it again would end the locks that other connections of this
    # process hold on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return connected(path, patience=patience, flush=flush)


def connected(
    path: Path | str, *, patience: float = PATIENCE, flush: Flush = Flush.EACH_COMMIT
) -> sqlite3.Connection:
    """Open a file, and have it keep a write-ahead log. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(flush.value)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """Open a file that exists for reading alone, and close it at the end. Raises sqlite3.Error.

    The path is part of a URI, so the characters that have a meaning in a URI are escaped
    (https://www.sqlite.org/uri.html).
    """
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    with contextlib.closing(
        sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=READING_PATIENCE)
    ) as database:
        yield database
