"""The inbox of the control plane that an agent's reports go to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sealward.events.bus.connection import BusUnavailable, InboxClosed
from sealward.protocol.queues import INBOX, inbox_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.bus.bus import Bus

TRIED_AGAIN_AFTER: Final = 10.0
"""Seconds for which the shared inbox is used after the node's own inbox was found closed."""


class Post:
    """Puts reports into the node's own inbox or, where that is closed, into the inbox that all nodes share.

    A node's own inbox is closed at a control plane of an earlier version, for a user of the broker that an
    earlier version made, and for a host that is not invited. The in-process bus has no users, and only the
    shared inbox.
    """

    def __init__(self, bus: Bus, hostname: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._own = INBOX if bus.user is None else inbox_of(hostname)
        self._clock = clock
        self._shares_until = clock()

    def __call__(self, body: bytes) -> None:
        """Put a report into an inbox. Raises BusUnavailable."""
        if self._clock() < self._shares_until:
            self._bus.submit(INBOX, body)
            return
        try:
            self._bus.submit(self._own, body)
        except InboxClosed as closed:
            try:
                self._bus.submit(INBOX, body)
            except InboxClosed:
                raise BusUnavailable(str(closed)) from closed
            self._shares_until = self._clock() + TRIED_AGAIN_AFTER
