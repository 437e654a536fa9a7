"""The kernel's description of devices, in the file system of sysfs. It is only read.

Everything that is read here is readable for every user of a host (kernel documentation, sysfs-rules.rst).
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST: Final = 200
"""Bytes of an attribute that are kept: a device decides some of them itself, as its serial number."""
DEPTH: Final = 32
"""Folders above a device that are looked at."""
_HAS_NONE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP))
"""How the kernel says that a device has no such attribute or no value for it (drivers/scsi/scsi_sysfs.c)."""


class DeviceUnreadable(Exception):
    """An attribute of a device cannot be read although the device has it."""


@dataclass(frozen=True, slots=True)
class Number:
    """The number of a device node: "block" or "char", and major and minor as `8:16`."""

    kind: str
    number: str


def number_of(path: str) -> Number | None:
    """Return the number of the device node at a path; None if nothing or something else is there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a path is text here, as in XML
    except (OSError, ValueError):
        return None
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    if stat.S_ISBLK(found.st_mode):
        return Number("block", number)
    return Number("char", number) if stat.S_ISCHR(found.st_mode) else None


@dataclass(frozen=True, slots=True)
class Sysfs:
    """The sysfs that is mounted at `root`. `number` returns the number of the device node at a path."""

    root: Path = Path("/sys")
    number: Callable[[str], Number | None] = number_of

    def node(self, path: str) -> tuple[str, Path] | None:
        """Return "block" or "char", and the folder of the device of a device node; None if there is none."""
        found = self.number(path)
        if found is None:
            return None
        folder = self.folder("dev", found.kind, found.number)
        return None if folder is None else (found.kind, folder)

    def folder(self, *steps: str) -> Path | None:
        """Return the folder of a device without links in its path; None where there is no such device."""
        if any("/" in step or step in {"", ".", ".."} for step in steps):
            return None
        path = self.root.joinpath(*steps)
        return path.resolve() if path.is_dir() else None

    def above(self, folder: Path) -> Iterator[Path]:
        """Yield the folder of a device and those of the devices that it is plugged into, up to the root."""
        devices = self.root.resolve() / "devices"
        for one, _ in zip((folder, *folder.parents), range(DEPTH), strict=False):
            if one == devices or devices not in one.parents:
                return
            yield one


def text(folder: Path, name: str) -> str | None:
    """Return an attribute as printable text; None where the device has none. Raises DeviceUnreadable."""
    try:
        with (folder / name).open("rb") as file:
            found = file.read(LONGEST)
    except OSError as failed:
        if failed.errno in _HAS_NONE:
            return None
        raise DeviceUnreadable(f"{folder / name}: {failed.strerror}") from failed
    return escaped(" ".join(found.decode("utf-8", "replace").replace("\0", " ").split()), LONGEST) or None


def subsystem(folder: Path) -> str:
    """Return the name of the subsystem that a device belongs to; empty where there is none."""
    try:
        return (folder / "subsystem").readlink().name
    except OSError:
        return ""


def names(folder: Path, pattern: str) -> list[Path]:
    """Return the folders without links that a pattern finds below a device, in order of their names."""
    return [one.resolve() for one in sorted(folder.glob(pattern))]
