"""A thread that hears of changes in folders by inotify, and tells of each when it has settled."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from asyncinotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncinotify import Event

log = logging.getLogger(__name__)

SETTLE: Final = 0.1
"""Seconds that what changed gets to settle: what happens within is one change."""
LOOK_UP: Final = 0.5
"""Seconds after which the thread looks for other folders to watch, and whether it is to end."""

What = TypeVar("What")


class Watching(Generic[What]):
    """Before each event `follow` watches what is to be watched; `note` says by `settle` what one changed.

    `on_change` gets that, in the thread. Where no more can be watched, `subject` is what a sweep finds alone.
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
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {subject}", daemon=True)

    def start(self) -> None:
        """Watch in the background."""
        try:
            self.inotify = Inotify(sync_timeout=LOOK_UP)
        except OSError as failed:  # the user's instances are used up: fs.inotify.max_user_instances
            log.warning("changes of %s are found by the sweep alone: %s", self._subject, failed.strerror)
        else:
            self._thread.start()

    def settle(self, what: What, seconds: float = SETTLE) -> None:
        """Tell of a change so many seconds after it was first seen."""
        self._due.setdefault(what, time.monotonic() + seconds)

    def close(self) -> None:
        """End the watch."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2 * LOOK_UP)
        if self.inotify is not None:
            self.inotify.close()

    def _run(self) -> None:
        inotify = self.inotify
        while inotify is not None and not self._stopped.is_set():
            self._follow(inotify)
            soonest = min(self._due.values(), default=time.monotonic() + LOOK_UP)
            inotify.sync_timeout = max(0.0, soonest - time.monotonic())
            event = inotify.sync_get()
            if event is not None:
                self._note(event)
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        for what in [what for what, due in self._due.items() if due <= now]:
            del self._due[what]
            self._on_change(what)
