"""What tells one content of a file from another without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of a file from another without reading it."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return the stamp of a file."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def file(self) -> str:
        """Name the file, whatever is in it; text, because an inode's number may exceed SQLite's integers."""
        return f"{self.dev}:{self.ino}"

    @property
    def state(self) -> str:
        """Name what the file is in now."""
        return f"{self.size}:{self.mtime_ns}:{self.ctime_ns}"


@dataclass(frozen=True, slots=True)
class Known:
    """A root, and when (seconds since the epoch) the reading of the file began."""

    state: str
    root: str
    hashed_at: float
