"""Notices changes of the hook and of the code that it runs, by inotify.

A sweep finds changes that inotify misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.node_agent.files.watch import FileWatch
from sealward.node_agent.gate import hook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class GateWatch:
    """Calls `on_change` when the gate that was installed for the ledger in `folder` may have changed."""

    def __init__(self, folder: Path, on_change: Callable[[], None]) -> None:
        self._folder = folder
        self._on_change = on_change
        self._found: dict[Path, int] = {}
        self._paths: frozenset[Path] = frozenset()
        self._watch = FileWatch(self._folders, lambda _: on_change())

    def start(self) -> None:
        """Begin to watch, in a thread."""
        self._watch.start()

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def _folders(self) -> frozenset[Path]:
        """Return the folders to watch. Calls `on_change` when these differ from the last call."""
        found = {one: inode for one in hook.folders(self._folder) if (inode := _inode(one))}
        if found != self._found:
            self._found = found
            self._paths = frozenset(found)
            self._on_change()
        return self._paths


def _inode(folder: Path) -> int:
    """Return the inode number of a folder, which differs when the folder is replaced; 0 for no folder."""
    try:
        return folder.stat().st_ino
    except OSError:
        return 0
