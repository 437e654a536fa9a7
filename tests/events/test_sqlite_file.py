"""SQLite files are private, keep their locks, and are read beside a writer."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sealward.events.store import sqlite_file

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None).execute("BEGIN IMMEDIATE")
    print("written")
except sqlite3.OperationalError as refused:
    print(refused)
"""


def other_process_writes(path: Path) -> str:
    """Return what another process says that begins to write to the file."""
    done = subprocess.run(  # noqa: S603 - code of this test
        [sys.executable, "-I", "-c", WRITE, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_the_file_and_its_log_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The folder is made as well."""
    path = tmp_path / "folder" / "a.sqlite"
    with contextlib.closing(sqlite_file.private(path)) as database:
        database.execute("CREATE TABLE one (a)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert modes == dict.fromkeys(("a.sqlite", "a.sqlite-wal", "a.sqlite-shm"), 384)


def test_opening_a_file_again_ends_no_lock_on_it(tmp_path: Path) -> None:
    """POSIX ends all locks of a process on a file when the process closes any descriptor of that file."""
    path = tmp_path / "a.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE one (a)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite_file.private(path, patience=0.0)

        assert other_process_writes(path) == "database is locked"
    assert other_process_writes(path) == "written"


@pytest.mark.parametrize("flush", sqlite_file.Flush)
def test_a_connection_flushes_as_it_is_told(flush: sqlite_file.Flush) -> None:
    """SQLite's numbers: 2 is FULL, 1 NORMAL, 0 OFF."""
    numbers = {
        sqlite_file.Flush.EACH_COMMIT: 2,
        sqlite_file.Flush.CHECKPOINTS: 1,
        sqlite_file.Flush.NEVER: 0,
    }
    with contextlib.closing(sqlite_file.private(None, flush=flush)) as database:
        assert database.execute("PRAGMA synchronous").fetchone() == (numbers[flush],)


def test_a_file_is_read_beside_its_writer_and_not_written(tmp_path: Path) -> None:
    """With any characters in its path."""
    path = tmp_path / "a?b#c%d" / "a.sqlite"
    with contextlib.closing(sqlite_file.private(path)) as writer:
        writer.execute("CREATE TABLE one (a)")
        writer.execute("INSERT INTO one VALUES (1)")
        with sqlite_file.reading(str(path)) as reader:
            assert reader.execute("SELECT a FROM one").fetchall() == [(1,)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("INSERT INTO one VALUES (2)")


def test_a_file_that_is_missing_is_not_made_by_reading(tmp_path: Path) -> None:
    """Its absence is an answer."""
    with pytest.raises(sqlite3.OperationalError), sqlite_file.reading(str(tmp_path / "a.sqlite")):
        pass

    assert not list(tmp_path.iterdir())
