"""Hears of changes in the folders of measured files as they happen; what it misses, a sweep finds.

inotify tells of files that were closed after writing, moved, deleted, or given other attributes. It tells
neither of writes by who keeps the file open nor of those by other machines of a network file system.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from asyncinotify import Inotify, Mask

from sealward.node_agent.files.refusals import FilesUnresponsive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncinotify import Event, Watch

    from sealward.node_agent.files.mounts import Mounts

log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds that a file gets to settle: what happens within is one change."""
LOOK_UP: Final = 0.5
"""Seconds after which the thread looks for other folders to watch, and whether it is to end."""
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
    """`folders` gives what to watch now; `on_change` gets the path of a file that changed there.

    Where any file system may be among them, `mounts` knows which answer.
    """

    def __init__(
        self,
        folders: Callable[[], frozenset[Path]],
        on_change: Callable[[Path], None],
        mounts: Mounts | None = None,
    ) -> None:
        self._mounts = mounts
        self._folders = folders
        self._on_change = on_change
        self._wanted: frozenset[Path] = frozenset()
        self._again_at = math.inf
        """When what could not be watched is tried again."""
        self._watches: dict[Path, Watch] = {}
        self._due: dict[Path, float] = {}
        self._inotify: Inotify | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="files-watch", daemon=True)

    def start(self) -> None:
        """Watch in the background."""
        try:
            self._inotify = Inotify(sync_timeout=LOOK_UP)
        except OSError as failed:  # the user's instances are used up: fs.inotify.max_user_instances
            log.warning("changes of files are found by the sweep alone: %s", failed.strerror)
        else:
            self._thread.start()

    def close(self) -> None:
        """End the watch."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * LOOK_UP)
        if self._inotify is not None:
            self._inotify.close()

    def _run(self) -> None:
        inotify = self._inotify
        while inotify is not None and not self._stopped.is_set():
            self._follow(inotify)
            soonest = min(self._due.values(), default=time.monotonic() + LOOK_UP)
            inotify.sync_timeout = max(0.0, soonest - time.monotonic())
            event = inotify.sync_get()
            if event is not None:
                self._note(event)
            self._tell()

    def _follow(self, inotify: Inotify) -> None:
        """Watch the folders that are wanted now, and no others."""
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
                log.warning("changes in %s are found by the sweep alone: %s", folder, failed)
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
        if event.mask & Mask.IGNORED:  # the folder is gone; whoever needs it will say so anew
            self._watches.pop(folder, None)  # type: ignore[arg-type]  # None is no key
        elif folder is not None and event.name is not None:
            self._due.setdefault(folder / event.name, time.monotonic() + SETTLE)

    def _tell(self) -> None:
        now = time.monotonic()
        for path in [path for path, due in self._due.items() if due <= now]:
            del self._due[path]
            self._on_change(path)
