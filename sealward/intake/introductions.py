"""What a node is told of a server that is none of its own, when its start gate asks for it."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.commands.errors import TooManyQuestions
from sealward.events.bus import BusUnavailable
from sealward.events.store import StoreUnavailable
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from sealward.events.bus import Bus

    SignOf = Callable[[str], reports.Assignment | None]

log = logging.getLogger(__name__)

AT_MOST: Final = 1000
"""Questions of one node within `WITHIN`: more than all servers of a large node that starts."""
WITHIN: Final = timedelta(minutes=1)


class Introductions:
    """Answers nodes; `sign_of` reads what is known of a server. For one thread.

    A reference describes its server, and any node may ask for it: so no node may ask for many.
    """

    def __init__(self, sign_of: SignOf, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._sign_of = sign_of
        self._bus = bus
        self._clock = clock
        self._asked: Counter[str] = Counter()
        self._since = clock()

    def admit(self, hostname: str) -> None:
        """Count a question. Raises TooManyQuestions."""
        now = self._clock()
        if not timedelta(0) <= now - self._since < WITHIN:
            self._since = now
            self._asked.clear()
        self._asked[hostname] += 1
        if self._asked[hostname] > AT_MOST:
            raise TooManyQuestions

    def answer(self, questions: Iterable[reports.Wanted]) -> None:
        """Tell nodes what they asked for. What cannot be answered now is not: the gate does not wait."""
        for one in questions:
            try:
                self._answer(one.hostname, one.server_id)
            except (StoreUnavailable, BusUnavailable) as away:
                log.warning("%s is told nothing of %s: %s", one.hostname, one.server_id, away)

    def _answer(self, hostname: str, server_id: str) -> None:
        sign = self._sign_of(server_id)
        if sign is not None and sign.envelope is None:
            sign = None
        log.info("%s asked for %s, which is %s", hostname, server_id, "signed" if sign else "not signed")
        self._bus.send(reports.queue_of(hostname), msgspec.json.encode(reports.Incoming(server_id, sign)))
