"""Collects the stamps of the files that the gate read for a decision, and of the folders on their paths.

`gate.record` defines stamps and the record that holds them.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files.refusals import FileChanging
from sealward.node_agent.gate.record import NOTHING, Line, Record, Stamp

if TYPE_CHECKING:
    from pathlib import Path

MAX_LINKS: Final = 40
"""Symbolic links that are followed in a path, as many as Linux follows."""


class Stamps:
    """The stamps of one decision."""

    def __init__(self) -> None:
        self._lines: dict[Path, Line] = {}

    def note(self, path: Path, found: os.stat_result, *, is_written: bool = False, root: str = "") -> None:
        """Note a file as it was when it was read.

        Raises FileChanging where the path led to another file before.
        """
        stamp = Stamp.of("image" if is_written else "file", found)
        line = Line(stamp, root or NOTHING, os.fsencode(path))
        known = self._lines.get(path)
        if known is not None and (known.stamp.dev, known.stamp.ino) != (stamp.dev, stamp.ino):
            raise FileChanging("it is another file than before")
        if known is None or _says(line) > _says(known):
            self._lines[path] = line

    def record(self, server_id: str, *, refuses: bool) -> str:
        """Return the record of a start as text; an empty text where no file was read."""
        if not self._lines:
            return ""
        on_the_way: dict[str, Line] = {}
        for path in self._lines:
            _walk(os.fspath(path), on_the_way)
        return str(Record([*self._lines.values(), *on_the_way.values()], server_id, refuses=refuses))


def _says(line: Line) -> tuple[bool, bool]:
    """Return how complete a line is. Of two lines about the base of two disks, the more complete is kept."""
    return line.stamp.kind == "file", line.root != NOTHING


def _walk(path: str, found: dict[str, Line]) -> None:
    """Add the folders and links on the way to a path, including those behind the links."""
    at, links = "/", 0
    ahead = deque(path.split("/"))
    while ahead:
        part = ahead.popleft()
        if part in ("", "."):
            continue
        at = os.path.dirname(at) if part == ".." else f"{at.rstrip('/')}/{part}"  # noqa: PTH120 - text, for speed
        if not ahead and os.path.lexists(at) and not os.path.islink(at):  # noqa: PTH114 - as above
            return
        target = _note(at, found)
        if target is not None and links < MAX_LINKS:
            links += 1
            ahead.extendleft(reversed(target.split("/")))
            at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120 - as above


def _note(at: str, found: dict[str, Line]) -> str | None:
    """Note a folder or a link. Returns the target of a link, else None."""
    try:
        target = os.readlink(at)  # noqa: PTH115 - text, for speed
    except OSError:
        target = None
    if at not in found:
        kind = "folder" if target is None else "link"
        found[at] = Line(Stamp.of(kind, os.lstat(at)), NOTHING, os.fsencode(at))
    return target
