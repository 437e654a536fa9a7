"""When each node was heard last: a heartbeat is no event, its absence is one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealward.control.database import ControlDatabase


class Leases:
    """When each node was last heard."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def touch(self, hostnames: Collection[str], now: datetime) -> None:
        """Some nodes were heard just now."""
        if hostnames:
            self._database.run("touch", (json.dumps(dict.fromkeys(sorted(hostnames), _stamp(now))),))

    def silent_since(self, moment: datetime) -> list[str]:
        """Return the nodes that were not heard since that moment."""
        rows, _ = self._database.run("silent", (_stamp(moment),))
        return [hostname for (hostname,) in rows]

    def forget(self, hostname: str, moment: datetime) -> None:
        """Forget a node that was not heard since that moment."""
        self._database.run("forget-lease", (hostname, _stamp(moment)))

    def seen(self) -> dict[str, datetime]:
        """Return when each node was last heard."""
        rows, _ = self._database.run("seen")
        return {hostname: datetime.fromisoformat(seen_at) for hostname, seen_at in rows}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
