"""A thread that watches folders by inotify, and passes a change on shortly after its first event."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from asyncinotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncinotify import Event

log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds between the first event of a change and the call about it. Events in between are one change."""
REFRESH: Final = 0.5
"""Seconds after which the thread calls `follow` again, although no event came."""

What = TypeVar("What")


class InotifyThread(Generic[What]):
    """Watches folders. Before each event, `follow` adds the folders that are to be watched.

    `note` gets each inotify event, and calls `settle` with the changed thing. `on_change` is then called with
    that thing, in the thread. `subject` names the changes in log messages: without inotify, sweeps alone find
    them.
    """

    def __init__(
        self,
        subject: str,
        follow: Callable[[Inotify], None],
        note: Callable[[Event], None],
        on_change: Callable[[What], None],
    ) -> None:
        self._subject = subject
        self._follow = follow
        self._note = note
        self._on_change = on_change
        self.inotify: Inotify | None = None
        self._due: dict[What, float] = {}
        self._end = -1
        """An eventfd, which becomes readable when the thread has to end."""
        self._thread = threading.Thread(target=self._run, name=f"watch {subject}", daemon=True)

    def start(self) -> None:
        """Watch in the background."""
        try:
            self.inotify = Inotify(sync_timeout=0)
        except OSError as failed:  # the user's instances are used up: fs.inotify.max_user_instances
            log.warning("changes of %s are found by the sweep alone: %s", self._subject, failed.strerror)
        else:
            self._end = os.eventfd(0, os.EFD_CLOEXEC)
            self._thread.start()

    def settle(self, what: What, seconds: float = SETTLE) -> None:
        """Call `on_change` with the changed thing `what`, so many seconds after its first event."""
        self._due.setdefault(what, time.monotonic() + seconds)

    def close(self) -> None:
        """End the watch."""
        inotify, self.inotify = self.inotify, None
        if inotify is None:
            return
        os.eventfd_write(self._end, 1)
        self._thread.join(2 * REFRESH)
        inotify.close()
        if not self._thread.is_alive():  # else the thread hangs in `follow`, and reads it later
            os.close(self._end)

    def _run(self) -> None:
        inotify = self.inotify
        if inotify is None:  # closed already
            return
        waiting = select.poll()
        waiting.register(inotify.fd, select.POLLIN)
        waiting.register(self._end, select.POLLIN)
        ready: dict[int, int] = {}
        while self._end not in ready:
            self._follow(inotify)
            event = inotify.sync_get()
            if event is not None:
                self._note(event)
            self._tell()
            ready = dict(waiting.poll(0 if event is not None else self._milliseconds()))

    def _milliseconds(self) -> float:
        """Return for how long the thread may wait for an event."""
        now = time.monotonic()
        return 1000 * max(0.0, min(self._due.values(), default=now + REFRESH) - now)

    def _tell(self) -> None:
        now = time.monotonic()
        for what in [what for what, due in self._due.items() if due <= now]:
            del self._due[what]
            self._on_change(what)
