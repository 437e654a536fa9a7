"""Which hostname belongs to which node id: an event names the id, a queue the hostname."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from sealward.projections.database import Projections

PATIENCE: Final = 5.0
"""Seconds that it waits for the rows of nodes."""


class Addresses:
    """Learns from events, and asks the rows for nodes that it has not heard of. For one thread.

    For the rows of a node it waits `wait` seconds at most.
    """

    def __init__(self, projections: Projections, wait: float = PATIENCE) -> None:
        self._projections = projections
        self._wait = wait
        self._hostnames: dict[int, str] = {}

    def learn(self, node_id: int, hostname: str) -> None:
        """Know a node: an id belongs to one hostname for good."""
        self._hostnames[node_id] = hostname

    def of(self, node_id: int, position: int) -> str | None:
        """Return the hostname of a node that an event at that position is about; None where there is none.

        Raises StoreUnavailable when the rows stay behind that event.
        """
        known = self._hostnames.get(node_id)
        if known is not None or not node_id:
            return known
        if not self._projections.wait_for(position, self._wait):
            raise StoreUnavailable("the projections are behind the log")
        with self._projections.reading() as tables:
            row = self._projections.nodes.one(tables, node_id)
        if row is not None:
            self.learn(node_id, row.hostname)
        return None if row is None else row.hostname
