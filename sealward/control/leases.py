"""When each node was last heard. A heartbeat is not an event; the end of a lease becomes an event."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealward.control.database import ControlDatabase


class Leases:
    """The times at which nodes were last heard, by hostname."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def touch(self, hostnames: Collection[str], now: datetime) -> None:
        """Record that the nodes were heard at `now`."""
        if hostnames:
            self._database.run("touch", (json.dumps(dict.fromkeys(sorted(hostnames), _stamp(now))),))

    def silent_since(self, moment: datetime) -> list[str]:
        """Return the hostnames of the nodes that were not heard since `moment`."""
        rows, _ = self._database.run("silent", (_stamp(moment),))
        return [hostname for (hostname,) in rows]

    def forget(self, hostname: str, moment: datetime) -> None:
        """Delete the row of a node, unless the node was heard since `moment`."""
        self._database.run("forget-lease", (hostname, _stamp(moment)))

    def seen(self) -> dict[str, datetime]:
        """Return when each node was last heard."""
        rows, _ = self._database.run("seen")
        return {hostname: datetime.fromisoformat(seen_at) for hostname, seen_at in rows}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
