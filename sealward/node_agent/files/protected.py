"""Whether a path leads, step by step, through nothing that anybody but root can change."""

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
"""An access control list that lets others write shows in the bits of the group, too (acl(5))."""


def is_protected(path: Path) -> bool:
    """Say whether root alone can change what is at a path, or put something else there.

    Folders that others write to and that are sticky, as /tmp, may be on the way: what is root's stays there.
    Raises OSError.
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
    """Say whether nobody but these users can change what is there; in a `sticky` folder, what is theirs."""
    if found.st_uid not in owners:
        return False
    return not found.st_mode & OTHERS or stat.S_ISLNK(found.st_mode) or bool(sticky and _is_sticky(found))


def _is_sticky(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
