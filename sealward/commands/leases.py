"""Which nodes are heard of: a heartbeat is no event, its absence is one."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sealward.commands.errors import NotRegistered, Rejected
from sealward.commands.messages import LoseNode
from sealward.events.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sealward.commands.control import ControlDatabase
    from sealward.commands.handler import Handler

log = logging.getLogger(__name__)


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


class LeaseKeeper:
    """A thread that declares nodes lost which are silent for longer than their lease."""

    def __init__(
        self, leases: Leases, handler: Handler, lease: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._leases = leases
        self._handler = handler
        self._lease = lease
        self._clock = clock
        self._patient_until = datetime.min.replace(tzinfo=UTC)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Begin; nodes that were silent while nobody listened get one lease to be heard."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        seconds = self._lease.total_seconds()
        self._stopped.wait(seconds)
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(seconds / 4)

    def look(self) -> None:
        """Declare lost whoever is silent for too long.

        While the store was away nobody could be heard: then all nodes get one lease to be heard.
        """
        now = self._clock()
        try:
            silent = self._leases.silent_since(now - self._lease)
            for hostname in silent if now >= self._patient_until else ():
                self._lose(hostname, now - self._lease)
        except StoreUnavailable as away:
            log.warning("the leases wait for the store: %s", away)
            self._patient_until = now + self._lease

    def _lose(self, hostname: str, moment: datetime) -> None:
        try:
            self._handler.handle(LoseNode(actor="system", hostname=hostname))
        except NotRegistered:
            self._leases.forget(hostname, moment)
        except Rejected as refused:
            log.warning("%s: %s", hostname, refused)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
