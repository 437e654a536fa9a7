"""Sessions of PostgreSQL that block other sessions: a worker has them ended (`end_hindrances`, ADR 50)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.events.loop import Loop

if TYPE_CHECKING:
    from sealward.control.database import ControlDatabase

log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks. A session that keeps the log locked is ended after three to five seconds."""


class Hindrances:
    """A thread that ends sessions of the database that block other sessions, and logs each ended session."""

    def __init__(self, database: ControlDatabase, every: float = EVERY) -> None:
        self._database = database
        waits = "the sessions of the database cannot be looked at"
        self._loop = Loop("hindrances", self.check, waits, every=every)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """Finish the query at hand, then end."""
        self._loop.stop()

    def check(self) -> None:
        """End the sessions that block other sessions now. Raises StoreUnavailable."""
        rows, _ = self._database.run("end-hindrances")
        for login, pid, hindrance in rows:
            log.error(
                "%s: session %d of the database's user %s held up others and was ended", hindrance, pid, login
            )
