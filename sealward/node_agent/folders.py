"""libvirt's own folders: they tell of changes that libvirt has no event for.

Observed with libvirt 9.0: config-only edits, link states and snapshots come without an event, but libvirt
writes every change of a domain to NAME.xml.new and moves that to NAME.xml: of the persistent form in its
config folder, of the running form in its run folder.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from asyncinotify import Inotify, Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from asyncinotify import Event

log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds that a domain's file gets to settle: what happens within is one change."""
LOOK_UP: Final = 0.5
"""Seconds after which the thread looks whether it is to end."""
SUFFIX: Final = ".xml"
MASK: Final = Mask.MOVED_TO | Mask.MOVED_FROM | Mask.CLOSE_WRITE | Mask.DELETE | Mask.ONLYDIR


class Folders:
    """Watches folders. `on_change` gets the name of a domain that changed, None when any may have."""

    def __init__(self, folders: Iterable[Path], on_change: Callable[[str | None], None]) -> None:
        self._folders = tuple(folders)
        self._on_change = on_change
        self._inotify: Inotify | None = None
        self._stopped = threading.Event()
        self._missing: tuple[Path, ...] = ()
        self._due: dict[str | None, float] = {}
        self._thread = threading.Thread(target=self._run, name="libvirt-folders", daemon=True)

    def start(self) -> None:
        """Watch what there is, in the background."""
        if not self._folders:
            return
        try:
            self._inotify = Inotify(sync_timeout=LOOK_UP)
        except OSError as failed:  # the user's instances are used up: fs.inotify.max_user_instances
            log.warning("changes in libvirt's folders are found by the sweep alone: %s", failed.strerror)
        else:
            self._thread.start()

    def watch(self) -> None:
        """Watch the folders; those that are watched already stay so, others are when they are there.

        libvirt makes its config folder with the first domain.
        """
        self._missing = () if self._inotify is None else self._unwatched(self._inotify, self._folders)
        for folder in self._missing:
            log.warning("changes in %s are found by the sweep alone until it is there", folder)

    def _unwatched(self, inotify: Inotify, folders: Iterable[Path]) -> tuple[Path, ...]:
        """Watch folders; return those that cannot be."""
        missing = []
        for folder in folders:
            try:
                inotify.add_watch(folder, MASK)
            except OSError:
                missing.append(folder)
        return tuple(missing)

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
            soonest = min(self._due.values(), default=time.monotonic() + LOOK_UP)
            inotify.sync_timeout = max(0.0, soonest - time.monotonic())
            event = inotify.sync_get()
            if event is not None:
                self._note(event)
            self._look_for_missing(inotify)
            self._tell()

    def _look_for_missing(self, inotify: Inotify) -> None:
        """Watch what was not there; what happened in it before is for whoever looks at everything."""
        before = self._missing
        if before:
            self._missing = self._unwatched(inotify, before)
            if self._missing != before:
                self._due.setdefault(None, time.monotonic())

    def _note(self, event: Event) -> None:
        name = str(event.name or "")
        if event.mask & Mask.Q_OVERFLOW:
            self._due.setdefault(None, time.monotonic())
        elif name.endswith(SUFFIX):
            self._due.setdefault(name.removesuffix(SUFFIX), time.monotonic() + SETTLE)

    def _tell(self) -> None:
        now = time.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            self._on_change(name)
