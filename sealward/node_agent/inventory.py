"""The report about which servers a node has, which of them run, and which leave the node.

The control plane derives from these reports on which node each sign is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.node_agent.measuring.not_measured import NotMeasured
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.node_agent.hypervisor.hypervisor import Hypervisor
    from sealward.node_agent.ledger.references import References


class Inventory:
    """Reports the servers of a node. `moment` gives ever later times; `send` takes a report away.

    `departing` returns the servers whose migration was announced and is under way; it may raise NotMeasured.
    `gone` is called with each server that the last report had and the next report has not: the control plane
    forgets its facts about that server.
    """

    def __init__(  # noqa: PLR0913 - what the inventory reads, and what it calls
        self,
        hypervisor: Hypervisor,
        hostname: str,
        *,
        moment: Callable[[], datetime],
        send: Callable[[reports.AnyReport], None],
        departing: Callable[[], frozenset[str]],
        gone: Callable[[str], None],
    ) -> None:
        self._hypervisor = hypervisor
        self._hostname = hostname
        self._moment = moment
        self._send = send
        self._departing = departing
        self._gone = gone
        self._last: tuple[tuple[tuple[str, str], ...], frozenset[str], frozenset[str]] | None = None

    def report(self, *, if_news: bool = False) -> None:
        """Report the servers; with `if_news`, only the differences from the last report."""
        taken_at = self._moment()
        try:
            leaving = self._hypervisor.leaving() | self._departing()
            found = tuple(self._hypervisor.servers()), self._hypervisor.running(), leaving
        except NotMeasured:
            return
        if found != self._last or not if_news:
            instances, running, leaving = found
            report = reports.Inventory(
                hostname=self._hostname,
                instances=instances,
                taken_at=taken_at,
                running=tuple(sorted(running)),
                leaving=tuple(sorted(leaving)),
            )
            self._send(report)
            for server_id in self._reported() - {one for one, _ in instances}:
                self._gone(server_id)
            self._last = found

    def count_without(self, signed: References) -> int:
        """Return how many of the servers of the last report are not signed."""
        return sum(1 for server_id in self._reported() if server_id not in signed)

    def _reported(self) -> set[str]:
        """Return the servers of the last report."""
        return set() if self._last is None else {server_id for server_id, _ in self._last[0]}
