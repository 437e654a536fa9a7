"""Notifications of PostgreSQL (LISTEN), heard by a thread of their own."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from sealward.events.store.postgres_connections import AGAIN, PART, dial, parameters

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Listener:
    """A thread that gets PostgreSQL's notifications of one channel, and calls `wake` for each."""

    def __init__(self, url: str, channel: LiteralString, wake: Callable[[], None]) -> None:
        self._url = url
        self._listen = psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel))
        self._wake = wake
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"listen-{channel}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        where = parameters(self._url) | {"autocommit": True, "application_name": "sealward-listen"}
        while not self._stopped.is_set():
            try:
                with dial(where) as own:
                    own.execute(self._listen)
                    log.info("PostgreSQL is back", extra={"back": PART})
                    self._wake()  # for changes from before LISTEN
                    self._hear(own)
            except psycopg.OperationalError as away:
                log.warning("PostgreSQL is away: %s", str(away).strip(), extra={"away": PART})
                self._stopped.wait(AGAIN)

    def _hear(self, own: psycopg.Connection[Any]) -> None:
        while not self._stopped.is_set():
            for _ in own.notifies(timeout=0.2, stop_after=1):
                self._wake()
