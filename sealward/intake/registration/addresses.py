"""The hostname of each node id: events name nodes by id, queues by hostname."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.store.store import StoreUnavailable

if TYPE_CHECKING:
    from sealward.projections.store.database import Projections

PATIENCE: Final = 5.0
"""Seconds to wait for the projection of nodes."""


class Addresses:
    """Hostnames of nodes, from events that were seen and from the projection of nodes. For one thread.

    It waits for the projection for at most `wait` seconds.
    """

    def __init__(self, projections: Projections, wait: float = PATIENCE) -> None:
        self._projections = projections
        self._wait = wait
        self._hostnames: dict[int, str] = {}

    def learn(self, node_id: int, hostname: str) -> None:
        """Note the hostname of a node id. It never changes."""
        self._hostnames[node_id] = hostname

    def of(self, node_id: int, position: int) -> str | None:
        """Return the hostname of a node id in an event at `position`; None where no node has the id.

        Raises StoreUnavailable when the projection does not reach that position in time.
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
