"""Reads from the projections which node has which server, and which signs are on which node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.projections.store.database import Projections


class Locations:
    """Queries of the projections. Their answers may lag behind the log.

    A sign that is missing in an answer is found when the node reports its inventory the next time.
    """

    def __init__(self, projections: Projections) -> None:
        self._projections = projections

    def elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the servers whose signs are on another node than `node_id`."""
        with self._projections.reading() as tables:
            return self._projections.signs.elsewhere(tables, node_id, server_ids)

    def also_at(self, node_id: int, server_id: str) -> Sequence[str]:
        """Return the hostnames of other nodes that have a server. Nodes that run the server come first."""
        with self._projections.reading() as tables:
            rows = self._projections.servers.elsewhere(tables, node_id, server_id)
        return [row.hostname for row in rows]

    def unsettled(self, node_id: int) -> Sequence[str]:
        """Return the servers of a home whose signs are claimed or announced as leaving."""
        with self._projections.reading() as tables:
            return self._projections.signs.unsettled(tables, node_id)
