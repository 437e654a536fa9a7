"""Tells whether a path leads only through files and folders that no user but root can change."""

from __future__ import annotations

import os
import stat
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

MAX_LINKS: Final = 40
"""Symbolic links in a path, as many as Linux follows."""
ROOT: Final = frozenset((0,))
OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
"""The bits of a mode that let others than the owner write.

An access control list sets the group's bit, too (acl(5)).
"""


def is_protected(path: Path) -> bool:
    """Return whether only root can change the file at a path, or put another file there. Raises OSError.

    Sticky folders that others can write to, as /tmp, may be on the way: others cannot replace root's files
    there.
    """
    at, links = "/", 0
    ahead = deque(str(path).split("/"))
    if not is_guarded(os.lstat(at), ROOT):
        return False
    while ahead:
        part = ahead.popleft()
        if part in ("", "."):
            continue
        at = os.path.dirname(at) if part == ".." else f"{at.rstrip('/')}/{part}"  # noqa: PTH120 - text, as it stands in XML
        found = os.lstat(at)
        if not is_guarded(found, ROOT, sticky=bool(ahead)):
            return False
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > MAX_LINKS:
                return False
            target = os.readlink(at)  # noqa: PTH115 - as above
            ahead.extendleft(reversed(target.split("/")))
            at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120 - as above
    return True


def is_guarded(found: os.stat_result, owners: Collection[int], *, sticky: bool = True) -> bool:
    """Return whether only these users can change a file or folder.

    With `sticky`, a sticky folder counts, too, where only these users can replace their own files.
    """
    if found.st_uid not in owners:
        return False
    return not found.st_mode & OTHERS or stat.S_ISLNK(found.st_mode) or bool(sticky and _is_sticky(found))


def _is_sticky(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
