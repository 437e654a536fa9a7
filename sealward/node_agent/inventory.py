"""Which servers a node has, which of them run and which leave: what the control plane places signs by."""

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
    """Reports what is there. `moment` gives ever later times; `send` takes a report to the control plane.

    `departing` returns the servers whose migration was announced and is under way; it may raise NotMeasured.
    `gone` is called with each server that was reported before and is reported no more: then the control plane
    knows nothing of the server any more.
    """

    def __init__(  # noqa: PLR0913 - what it reads, and whom it tells
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
        self._said: tuple[tuple[tuple[str, str], ...], frozenset[str], frozenset[str]] | None = None

    def report(self, *, if_news: bool = False) -> None:
        """Report which servers are here; when asked to, only if that is news."""
        taken_at = self._moment()
        try:
            leaving = self._hypervisor.leaving() | self._departing()
            found = tuple(self._hypervisor.servers()), self._hypervisor.running(), leaving
        except NotMeasured:
            return
        if found != self._said or not if_news:
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
            self._said = found

    def count_without(self, signed: References) -> int:
        """Return how many of the servers that were reported last are not among the signed ones."""
        return sum(1 for server_id in self._reported() if server_id not in signed)

    def _reported(self) -> set[str]:
        """Return the servers that were reported last."""
        return set() if self._said is None else {server_id for server_id, _ in self._said[0]}
