"""A process that stays: logs on stderr, ends on SIGINT and SIGTERM, and with the first part that dies."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sealward import logs

if TYPE_CHECKING:
    from sealward.settings import Settings

log = logging.getLogger("sealward")


def collect_seldom() -> None:
    """Have Python look for cycles seldom, and never among what is there already: hardly anything makes any.

    Taking reports costs a twentieth less so (Python 3.11).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class Process:
    """Make it before any part is started; `wait` returns the exit status."""

    def __init__(self, where: Settings) -> None:
        self._stopped, self._died = threading.Event(), threading.Event()
        logs.set_up(where.log, where.log_level, sys.stderr)
        collect_seldom()
        threading.excepthook = self._die
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stopped.set())

    def wait(self) -> int:
        """Wait for the end: 0 when it was asked for, 1 when a part died."""
        self._stopped.wait()
        return 1 if self._died.is_set() else 0

    def _die(self, failed: threading.ExceptHookArgs) -> None:
        """Half a process is worse than none: a dead thread ends it."""
        name = failed.thread.name if failed.thread else "a thread"
        log.critical("%s died", name, exc_info=failed.exc_value)
        self._died.set()
        self._stopped.set()
