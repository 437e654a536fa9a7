"""Where tests keep their files: in memory where there is room, since a test on a disk mostly waits for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - each test makes a private folder in it
ROOM: Final = 4 * 1024**3
"""Bytes that must be free in memory: a run of all tests has at most 1 GB there at a time."""


def use_memory() -> None:
    """Make memory the place of temporary files, here and in programs that are started from here.

    A TMPDIR that is set stays. So does the disk where memory has too little room, as in most containers.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # Python looks at TMPDIR once
