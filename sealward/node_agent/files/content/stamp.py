"""Stamps: attributes that differ when the content of a file differs, found out without reading the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True)
class Stamp:
    """The device, inode, size, mtime and ctime of a file."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return the stamp of a file, given the result of stat(2)."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def file(self) -> str:
        """Return a name for the file that does not depend on its content.

        It is text, because an inode number may exceed SQLite's integers.
        """
        return f"{self.dev}:{self.ino}"

    @property
    def state(self) -> str:
        """Return a name for the file's present state."""
        return f"{self.size}:{self.mtime_ns}:{self.ctime_ns}"


@dataclass(frozen=True, slots=True)
class Known:
    """A root, the state of the file that it is for, and when its read began (seconds since the epoch)."""

    state: str
    root: str
    hashed_at: float
