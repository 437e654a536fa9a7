"""How many bytes nodes have read of the files that tasks wait for. Progress is no event of the log.

A node reports the progress of all its measurements every two seconds. A report replaces the node's report
before, and is shown for a limited time. If the table is lost, the next report fills it again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.events import typed
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.control.database import ControlDatabase

BELIEVED_FOR: Final = timedelta(seconds=30)
"""Age from which a node's progress is no longer shown: the node may be gone."""


class Progress:
    """The last report of progress of each node."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def hear(self, batch: Iterable[reports.AnyReport], now: datetime) -> None:
        """Learn from reports; the last report of each node counts. Raises StoreUnavailable."""
        for hostname, said in {
            one.hostname: one for one in batch if isinstance(one, reports.Progress)
        }.items():
            if said.readings:
                readings = msgspec.json.encode(said.readings).decode()
                self._database.run("put-progress", (hostname, now.isoformat(), readings))
            else:
                self._database.run("forget-progress", (hostname,))

    def of(self, hostname: str, server_id: str, now: datetime) -> reports.ReadProgress | None:
        """Return how far a node is with a server's files. Raises StoreUnavailable."""
        rows, _ = self._database.run("progress", (hostname,))
        for said_at, readings in rows:
            if now - datetime.fromisoformat(said_at) < BELIEVED_FOR:
                for one in typed.decode(readings, tuple[reports.ReadProgress, ...]):
                    if one.server_id == server_id:
                        return one
        return None
