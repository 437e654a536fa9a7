"""The firmware folders of a node: their files, and whether these are the files that were accepted.

The firmware belongs to no server: a user who can write to these folders changes how every server starts.
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
"""Bytes of a reported path, at most: Linux's PATH_MAX."""
UNREADABLE: Final = "unreadable"
ABSENT: Final = "absent"
_ACCEPTED: Final = "firmware-accepted"
_FOUND: Final = "firmware-found"


class Files(Protocol):
    """Measures files; `files.measurer.FileMeasurer` is one."""

    def visit_firmware(self, call: Callable[[], T]) -> T:
        """Call a function that touches files. Raises FilesUnresponsive when the call hangs."""

    def enter(self, path: Path) -> None:
        """Say that the path will be touched.

        Raises FilesUnresponsive where its file system is known to hang.
        """

    def content(self, path: Path) -> str:
        """Return the root of a file's content. Raises NotMeasured."""


class Firmware:
    """The firmware folders of a node, measured by `files`."""

    def __init__(self, folders: Sequence[Path], files: Files, ledger: Ledger) -> None:
        self._folders = folders
        self._files = files
        self._ledger = ledger

    def measure(self) -> dict[str, str] | None:
        """Return what is in the folders by path: a file's root, a link's target, or a word for other kinds.

        None while files are being measured or hang, and where the node has neither firmware folders nor
        accepted firmware.
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
        """Keep in the ledger which firmware was accepted."""
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
    """Yield all files and links in a folder, without following links; the folder itself where it is empty."""
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
