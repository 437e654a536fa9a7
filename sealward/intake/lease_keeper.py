"""Declares nodes lost that were silent for longer than their lease."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sealward.commands.context import SYSTEM
from sealward.commands.errors import NotRegistered, Rejected
from sealward.commands.messages import LoseNode
from sealward.events.loop import Loop
from sealward.events.set_aside import BROKEN
from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.commands.writer.handler import Handler
    from sealward.control.leases import Leases

log = logging.getLogger(__name__)


class LeaseKeeper:
    """A thread that declares nodes lost which were silent for longer than their lease."""

    def __init__(
        self, leases: Leases, handler: Handler, lease: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._leases = leases
        self._handler = handler
        self._lease = lease
        self._clock = clock
        self._patient_until = datetime.min.replace(tzinfo=UTC)
        seconds = lease.total_seconds()
        waits = "the leases wait"
        self._loop = Loop("lease-keeper", self.check, waits, every=seconds / 4, first=seconds)

    def start(self) -> None:
        """Start the thread. It waits for one lease first, because nobody listened to nodes before."""
        self._loop.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._loop.stop()

    def check(self) -> None:
        """Declare nodes lost that were silent for too long.

        While the store is away no node can be heard: after that, all nodes get one lease to be heard.
        """
        now = self._clock()
        try:
            silent = self._leases.silent_since(now - self._lease)
            for hostname in silent if now >= self._patient_until else ():
                self._lose(hostname, now - self._lease)
        except StoreUnavailable as away:
            log.warning("the leases wait for the store: %s", away, extra={"away": away.part})
            self._patient_until = now + self._lease

    def _lose(self, hostname: str, moment: datetime) -> None:
        try:
            self._handler.handle(LoseNode(context=SYSTEM, hostname=hostname))
        except NotRegistered:
            self._leases.forget(hostname, moment)
        except Rejected as refused:
            log.warning("%s: %s", hostname, refused)
        except BROKEN:
            log.exception("%s cannot be declared lost", hostname)
