"""Reads from the projections what an order of a Celery client needs: the node's hostname, known task ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealward.events.store.store import EventStore
    from sealward.projections.store.database import Projections


class OrderQueries:
    """Queries of the projections, for orders. `wait` is for how many seconds a query waits for the rows."""

    def __init__(self, store: EventStore, projections: Projections, wait: float) -> None:
        self._store = store
        self._projections = projections
        self._wait = wait

    def hostname_of(self, node_id: int) -> str | None:
        """Return the hostname of a node, or None if no node has the id."""
        with self._projections.reading() as tables:
            row = self._projections.nodes.one(tables, node_id)
        return row.hostname if row else None

    def is_known(self, task_id: str) -> bool:
        """Say whether a task id is in use already, as of this call. Raises StoreUnavailable."""
        self._projections.wait_for(self._store.head(), self._wait)
        with self._projections.reading() as tables:
            return self._projections.tasks.one(tables, task_id) is not None
