"""Notices changes of measured files by inotify on their folders. A sweep finds changes that inotify misses.

inotify reports files that were closed after writing, moved or deleted, or whose attributes changed. It does
not report writes of a process that keeps the file open, nor writes of other machines to a network file
system.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from asyncinotify import Mask

from sealward.node_agent.files.refusals import FilesUnresponsive
from sealward.node_agent.inotify_thread import InotifyThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncinotify import Event, Inotify, Watch

    from sealward.node_agent.files.mounts import Mounts

log = logging.getLogger(__name__)

TRY_AGAIN: Final = 10.0
"""Seconds after which a folder that could not be watched is tried again."""
MASK: Final = (
    Mask.CLOSE_WRITE
    | Mask.MOVED_TO
    | Mask.MOVED_FROM
    | Mask.DELETE
    | Mask.CREATE
    | Mask.ATTRIB
    | Mask.ONLYDIR
)


class FileWatch:
    """Calls `on_change` with the path of a file that changed in any of the folders that `folders` returns.

    `mounts` is needed where the folders may be on file systems that hang.
    """

    def __init__(
        self,
        folders: Callable[[], frozenset[Path]],
        on_change: Callable[[Path], None],
        mounts: Mounts | None = None,
    ) -> None:
        self._mounts = mounts
        self._folders = folders
        self._wanted: frozenset[Path] = frozenset()
        self._again_at = math.inf
        """The time at which the folders that could not be watched are tried again."""
        self._watches: dict[Path, Watch] = {}
        self._watch_thread: InotifyThread[Path] = InotifyThread("files", self._follow, self._note, on_change)

    def start(self) -> None:
        """Begin to watch, in a thread."""
        self._watch_thread.start()

    def close(self) -> None:
        """End the watch."""
        self._watch_thread.close()

    def _follow(self, inotify: Inotify) -> None:
        """Watch the folders that `folders` returns now, and end the watches of all other folders."""
        wanted = self._folders()
        if wanted is self._wanted and time.monotonic() < self._again_at:
            return
        self._wanted, self._again_at = wanted, math.inf
        for folder in self._watches.keys() - wanted:
            inotify.rm_watch(self._watches.pop(folder))
        for folder in sorted(wanted - self._watches.keys()):
            try:
                self._watches[folder] = self._watched(inotify, folder)
            except (OSError, FilesUnresponsive) as failed:
                log.warning("cannot watch %s, only sweeps find changes there: %s", folder, failed)
                self._again_at = time.monotonic() + TRY_AGAIN

    def _watched(self, inotify: Inotify, folder: Path) -> Watch:
        """Watch a folder. Raises OSError, FilesUnresponsive."""
        mounts = self._mounts
        if mounts is None:
            return inotify.add_watch(folder, MASK)

        def watch(_: object) -> Watch:
            mounts.enter(folder)
            return inotify.add_watch(folder, MASK)

        return mounts.visit(None, watch)

    def _note(self, event: Event) -> None:
        folder = None if event.watch is None else event.watch.path
        if event.mask & Mask.IGNORED:  # the folder is gone; `folders` names it again where it is needed
            self._watches.pop(folder, None)  # type: ignore[arg-type]  # None is no key
        elif folder is not None and event.name is not None:
            self._watch_thread.settle(folder / event.name)
