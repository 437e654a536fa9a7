"""The firmware folders of a node: what is in them, and whether that is what was accepted.

They belong to no server: whoever writes there changes how every server of the node starts.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.node_agent.files.refusals import FileChanging, FileMissing, FilesBeingMeasured, FileUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sealward.node_agent.ledger import Ledger

log = logging.getLogger(__name__)

MAX_FILES: Final = 10_000
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


class Firmware:
    """The folders of one node. `content` gives the root of a file, or raises NotMeasured."""

    def __init__(self, folders: Sequence[Path], content: Callable[[Path], str], ledger: Ledger) -> None:
        self._folders = folders
        self._content = content
        self._ledger = ledger

    def measure(self) -> dict[str, str] | None:
        """Return what is in the folders, by path: a file's root, a link's target, or what else it is.

        None while files are being measured, and where there are neither folders nor anything accepted.
        """
        if not self._folders and self._ledger.fact(_ACCEPTED) is None:
            return None
        try:
            found = dict(_each(self._folders, self._content))
        except (FilesBeingMeasured, FileChanging) as later:
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


def _each(folders: Sequence[Path], content: Callable[[Path], str]) -> Iterator[tuple[str, str]]:
    count = 0
    for path in sorted({path for folder in folders for path in _below(folder)}):
        count += 1
        if count > MAX_FILES:
            yield "more", f"than {MAX_FILES} files"
            return
        try:
            yield str(path), _fact(path, content)
        except FileMissing:
            continue
        except (FileUnreadable, OSError):
            yield str(path), UNREADABLE


def _below(folder: Path) -> Iterator[Path]:
    """Yield all files and links in a folder, links unfollowed; the folder itself where nothing is."""
    is_empty = True
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*links, *names):
            is_empty = False
            yield Path(place, name)
    if is_empty:
        yield folder


def _fact(path: Path, content: Callable[[Path], str]) -> str:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ABSENT
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if stat.S_ISREG(mode):
        return content(path)
    return "empty folder" if stat.S_ISDIR(mode) else "neither a file nor a link"
