"""Servers that leave this node by a migration: the control plane asks about a server, and this node answers.

libvirt has no event for the begin of a migration. The job of the migration exists before the destination is
prepared, and a read-only connection sees the job (libvirt 9.0, observed). So this node looks for the job when
the control plane asks.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sealward.node_agent.measuring.not_measured import NotMeasured
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.node_agent.hypervisor.domains import Departure
    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.protocol.telling import Inquiry

log = logging.getLogger(__name__)

LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at a migration that this node has announced, until the migration ends."""


class Departures:
    """Answers questions about migrations, and remembers the migrations that it announced. For any thread.

    `moment` gives ever later times. `send` sends a report by itself, or does nothing while this node is not
    registered. `wake` has `leaving` called again after so many seconds.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        hostname: str,
        *,
        moment: Callable[[], datetime],
        send: Callable[[reports.AnyReport], object],
        wake: Callable[[float], None],
    ) -> None:
        self._hypervisor = hypervisor
        self._hostname = hostname
        self._moment = moment
        self._send = send
        self._wake = wake
        self._lock = threading.Lock()
        self._announced: set[str] = set()

    @property
    def any(self) -> bool:
        """Say whether a migration that was announced may still be under way."""
        with self._lock:
            return bool(self._announced)

    def take(self, inquiry: Inquiry) -> None:
        """Answer whether a server leaves. Where libvirt does not answer, there is no answer."""
        moment = self._moment()
        try:
            found = self._hypervisor.departure(inquiry.server_id)
        except NotMeasured as failed:
            log.info("whether %s leaves is not known: %s", inquiry.server_id, failed.code)
            return
        if found.leaving:
            with self._lock:
                self._announced.add(inquiry.server_id)
            self._wake(LOOK_AGAIN)
        answer = reports.Leaving(
            hostname=self._hostname,
            server_id=inquiry.server_id,
            nonce=inquiry.nonce,
            has=found.has,
            leaving=found.leaving,
            looked_at=moment,
        )
        self._send(answer)

    def leaving(self) -> frozenset[str]:
        """Return the servers whose announced migration is under way; forget those whose migration has ended.

        Raises HypervisorGone, DomainLocked.
        """
        with self._lock:
            announced = set(self._announced)
        found: dict[str, Departure] = {one: self._hypervisor.departure(one) for one in announced}
        going = frozenset(one for one, departure in found.items() if departure.is_under_way)
        with self._lock:
            self._announced -= announced - going
        if going:
            self._wake(LOOK_AGAIN)
        return going
