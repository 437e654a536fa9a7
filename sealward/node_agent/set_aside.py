"""Events, messages and jobs that broke an agent: the agent reports them, and continues without them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sealward.events.set_aside import BROKEN, detail_of, reason_of
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

HELD: Final = 64
"""How many reports are kept to be sent once more; further reports are sent once."""


class SetAside:
    """Reports each event, message or job that the agent sets aside: at once, and again with the next sweep.

    It is reported twice because a report can be lost. If it is set aside again before that sweep, there is no
    further report: a repeated message makes a single report. `send` takes a report to the control plane. For
    any thread.
    """

    def __init__(self, hostname: str, send: Callable[[reports.AnyReport], None]) -> None:
        self._hostname = hostname
        self._send = send
        self._held: dict[tuple[int, str], reports.SetAside] = {}

    def put(self, position: int, about: str, why: Exception) -> None:
        """Set aside the event at a position of the log; at 0, the job or message that `about` names."""
        if (position, about) in self._held:
            return
        log.error("%s sets %s (%d) aside", self._hostname, about, position, exc_info=why)
        said = reports.SetAside(
            hostname=self._hostname,
            position=position,
            about=about,
            reason=reason_of(why),
            detail=detail_of(why),
        )
        if len(self._held) < HELD:
            self._held[position, about] = said
        self._send(said)

    def attempt(self, about: str, work: Callable[[], object]) -> None:
        """Do a piece of work; if the work raises, set it aside under the name `about`."""
        try:
            work()
        except BROKEN as broken:
            self.put(0, about, broken)

    def report_again(self) -> None:
        """Repeat the reports that were made since the last call."""
        held, self._held = self._held, {}
        for said in held.values():
            self._send(said)
