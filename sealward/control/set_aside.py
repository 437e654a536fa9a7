"""Events that parts other than the projections could not take; theirs stand among their rows."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.events.set_aside import Aside, detail_of, reason_of
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealward.control.database import ControlDatabase
    from sealward.events import set_aside as aside

log = logging.getLogger(__name__)

RELAY: Final = "relay"
CELERY: Final = "celery"
TELLER: Final = "teller"
"""The teller: it sends the events of the log to the nodes that they concern."""
DECISIONS: Final = "decisions"
"""The deciders: they can decide no command on a stream with an event that cannot be read."""
NODE: Final = "node:"
"""Prefix of a node's hostname: the part that set an event aside is the node's agent."""
OF_A_NODE: Final = 100
"""How many events of one node are kept; the newest are kept."""
AT_ONCE: Final = 20
"""How many events of one node are kept from one batch of reports."""


class SetAside:
    """Keeps which events each part of the control plane has set aside.

    A relay sets an event aside before it keeps a position beyond the event. A relay that ends between the two
    steps reads the event again and sets it aside again, which changes nothing.
    """

    def __init__(self, database: ControlDatabase, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, part: str) -> aside.SetAside:
        """Return the function that a part calls for each event that it cannot process."""
        return functools.partial(self._put, part)

    def _put(self, part: str, position: int, topic: str, why: Exception) -> None:
        log.error("%s: event %d (%s) is set aside: %s", part, position, topic, detail_of(why))
        self._keep(position, part, topic, (reason_of(why), detail_of(why)))

    def _keep(self, position: int, part: str, topic: str, why: tuple[str, str]) -> None:
        values = (position, part, escaped(topic, 255), *why, self._clock().isoformat())
        self._database.run("put-set-aside", values)

    def hear(self, batch: Sequence[reports.AnyReport]) -> None:
        """Keep the events that agents report as set aside."""
        said: Counter[str] = Counter()
        for one in batch:
            if isinstance(one, reports.SetAside) and said[one.hostname] < AT_ONCE:
                said[one.hostname] += 1
                self._keep(one.position, NODE + one.hostname, one.about, (one.reason, one.detail))
        for hostname in said:
            part = NODE + hostname
            self._database.run("trim-set-aside", (part, part, OF_A_NODE))

    def all(self) -> list[Aside]:
        """Return the events that were set aside, in the order of the log."""
        rows, _ = self._database.run("set-aside")
        return [
            Aside(position, part, topic, reason, detail, datetime.fromisoformat(at))
            for position, part, topic, reason, detail, at in rows
        ]

    def forget(self, part: str, position: int) -> None:
        """Forget an event: the part has processed it now."""
        self._database.run("forget-set-aside", (position, part))
