"""The XML files that libvirt writes: they tell of changes for which libvirt has no event.

Observed with libvirt 9.0: config-only edits, link states and snapshots come without an event. But libvirt
writes every change of a domain to NAME.xml.new, and renames that file to NAME.xml. The persistent form is in
libvirt's config folder, the running form in its run folder. The image of a managed save is NAME.save in a
folder of its own.

libvirt writes the running form for many reasons, and the persistent form only when the domain is defined or
changed. Two writes of the persistent form within the time that a change settles are a change of the domain,
even if the domain is in the end as it was before.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from asyncinotify import Mask

from sealward.node_agent.inotify_thread import InotifyThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from asyncinotify import Event, Inotify

log = logging.getLogger(__name__)

SUFFIXES: Final = (".xml", ".save")
MASK: Final = Mask.MOVED_TO | Mask.MOVED_FROM | Mask.CLOSE_WRITE | Mask.DELETE | Mask.ONLYDIR


class DomainFileWatch:
    """Watches folders. `on_change` gets the name of a changed domain; None when any may have changed.

    The first folder is libvirt's config folder. `on_rewritten` gets the name of a domain of which libvirt has
    written the persistent form twice, before `on_change` gets the name.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        on_change: Callable[[str | None], None],
        on_rewritten: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folders = tuple(folders)
        self._on_change = on_change
        self._on_rewritten = on_rewritten
        self._definitions: Counter[str] = Counter()
        """By name how often libvirt has written the persistent form since the last call of `on_change`."""
        self._missing: tuple[Path, ...] = ()
        self._watch_thread: InotifyThread[str | None] = InotifyThread(
            "libvirt's folders", self._look_for_missing, self._note, self._settled
        )

    def start(self) -> None:
        """Begin to watch, in the background."""
        if self._folders:
            self._watch_thread.start()

    def watch(self) -> None:
        """Watch the folders that exist; watch each other folder as soon as it exists.

        libvirt makes its config folder together with the first domain.
        """
        inotify = self._watch_thread.inotify
        self._missing = () if inotify is None else self._unwatched(inotify, self._folders)
        for folder in self._missing:
            log.warning("changes in %s are found by the sweep alone until it is there", folder)

    def _unwatched(self, inotify: Inotify, folders: Iterable[Path]) -> tuple[Path, ...]:
        """Watch folders; return those that cannot be watched."""
        missing = []
        for folder in folders:
            try:
                inotify.add_watch(folder, MASK)
            except OSError:
                missing.append(folder)
        return tuple(missing)

    def close(self) -> None:
        """End the watch."""
        self._watch_thread.close()

    def _look_for_missing(self, inotify: Inotify) -> None:
        """Watch folders that were missing. Any domain may have changed while a folder was not watched."""
        before = self._missing
        if before:
            self._missing = self._unwatched(inotify, before)
            if self._missing != before:
                self._watch_thread.settle(None, 0)

    def _note(self, event: Event) -> None:
        name = str(event.name or "")
        if event.mask & Mask.Q_OVERFLOW:
            self._watch_thread.settle(None, 0)
        elif name.endswith(SUFFIXES):
            if event.mask & Mask.MOVED_TO and _folder(event) == self._folders[0]:
                self._definitions[name.rpartition(".")[0]] += 1
            self._watch_thread.settle(name.rpartition(".")[0])

    def _settled(self, name: str | None) -> None:
        if name is not None and self._definitions.pop(name, 0) > 1:
            self._on_rewritten(name)
        self._on_change(name)


def _folder(event: Event) -> Path | None:
    return None if event.watch is None else event.watch.path
