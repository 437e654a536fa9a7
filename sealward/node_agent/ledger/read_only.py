"""Opens an SQLite file for reading alone: the start gate reads files that the agent writes."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 0.3
"""Seconds to wait for another process that writes to the file."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file that exists, and close it at the end. Raises sqlite3.Error.

    The path is part of a URI, so the characters that have a meaning in a URI are escaped
    (https://www.sqlite.org/uri.html).
    """
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    with contextlib.closing(
        sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=PATIENCE)
    ) as database:
        yield database
