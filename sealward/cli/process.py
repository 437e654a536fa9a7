"""A process that stays: logs on stderr, ends on SIGINT and SIGTERM, and with the first part that dies."""

from __future__ import annotations

import logging
import signal
import sys
import threading

log = logging.getLogger("sealward")


class Process:
    """Make it before any part is started; `wait` returns the exit status."""

    def __init__(self) -> None:
        self._stopped, self._died = threading.Event(), threading.Event()
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        logging.getLogger("kombu").setLevel(logging.ERROR)  # it warns that memory:// has no host
        logging.getLogger("pika").setLevel(logging.CRITICAL)  # the relay says what pika finds
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
