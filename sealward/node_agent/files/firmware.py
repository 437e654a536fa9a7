"""The firmware folders of a node: what is in them, and whether that is what was accepted.

They belong to no server: whoever writes there changes how every server of the node starts.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from sealward.characters import escaped
from sealward.node_agent.files.refusals import (
    FileChanging,
    FileMissing,
    FilesBeingMeasured,
    FilesUnresponsive,
    FileUnreadable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sealward.node_agent.ledger.ledger import Ledger

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_FILES: Final = 10_000
MAX_PATH: Final = 4096
"""Bytes that a path is reported with: Linux's PATH_MAX."""
UNREADABLE: Final = "unreadable"
ABSENT: Final = "absent"
_ACCEPTED: Final = "firmware-accepted"
_FOUND: Final = "firmware-found"


def holds(ledger: Ledger) -> bool:
    """Say whether a node's firmware is what was accepted, as far as its agent has seen; needs no agent.

    A node whose firmware nobody measures holds.
    """
    accepted = ledger.fact(_ACCEPTED)
    return accepted is None or accepted == ledger.fact(_FOUND)


class Files(Protocol):
    """What measures files."""

    def visit_firmware(self, call: Callable[[], T]) -> T:
        """Make a call that touches files. Raises FilesUnresponsive when it hangs."""

    def enter(self, path: Path) -> None:
        """Touch a path from now on. Raises FilesUnresponsive where it is known to hang."""

    def content(self, path: Path) -> str:
        """Return the root of a file. Raises NotMeasured."""


class Firmware:
    """The folders of one node, measured by `files`."""

    def __init__(self, folders: Sequence[Path], files: Files, ledger: Ledger) -> None:
        self._folders = folders
        self._files = files
        self._ledger = ledger

    def measure(self) -> dict[str, str] | None:
        """Return what is in the folders, by path: a file's root, a link's target, or what else it is.

        None while files are being measured or hang, and where there are neither folders nor anything that
        was accepted.
        """
        if not self._folders and self._ledger.fact(_ACCEPTED) is None:
            return None
        try:
            found = self._files.visit_firmware(lambda: dict(_each(self._folders, self._files)))
        except (FilesBeingMeasured, FilesUnresponsive, FileChanging) as later:
            log.info("the firmware is not measured yet: %s", later)
            return None
        self._ledger.keep_fact(_FOUND, _text(found))
        return found

    def accept(self, files: Mapping[str, str] | None) -> None:
        """Know what was accepted."""
        if files is not None:
            self._ledger.keep_fact(_ACCEPTED, _text(files))


def _text(files: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(files), order="sorted").decode()


def _each(folders: Sequence[Path], files: Files) -> Iterator[tuple[str, str]]:
    count = 0
    for path in sorted({path for folder in folders for path in _below(folder, files)}):
        count += 1
        if count > MAX_FILES:
            yield "more", f"than {MAX_FILES} files"
            return
        try:
            files.enter(path)
            yield escaped(str(path), MAX_PATH), escaped(_fact(path, files), MAX_PATH)
        except FileMissing:
            continue
        except (FileUnreadable, OSError):
            yield escaped(str(path), MAX_PATH), UNREADABLE


def _below(folder: Path, files: Files) -> Iterator[Path]:
    """Yield all files and links in a folder, links unfollowed; the folder itself where nothing is."""
    is_empty = True
    files.enter(folder)
    for place, folders, names in os.walk(folder):
        files.enter(Path(place))
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*links, *names):
            is_empty = False
            yield Path(place, name)
    if is_empty:
        yield folder


def _fact(path: Path, files: Files) -> str:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ABSENT
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISREG(mode):
        return files.content(path)
    return "empty folder" if stat.S_ISDIR(mode) else "neither a file nor a link"
