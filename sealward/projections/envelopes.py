"""The sealed envelopes of the references in force, each signed by a node and the authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.events.sign import SignCreated, SignEvent, SignRevoked, SignSealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Tables


class Envelopes:
    """The projection of sealed envelopes, one row for each server with a reference in force.

    An envelope has kilobytes and changes only with a seal. The rows of signs, which change more often, are
    therefore kept apart from the envelopes.
    """

    name = "envelopes"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("envelopes.drop")
        tables.run("envelopes.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("envelopes.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        last: dict[str, SignEvent] = {
            one.event.server_id: one.event
            for one in batch
            if isinstance(one.event, SignCreated | SignSealed | SignRevoked)
        }
        sealed = [one for one in last.values() if isinstance(one, SignSealed)]
        gone = [{"server_id": one.server_id} for one in last.values() if not isinstance(one, SignSealed)]
        tables.many("envelopes.forget", gone)
        tables.many("envelopes.put", [_values(one) for one in sealed])

    def one(self, tables: Tables, server_id: str) -> str | None:
        """Return the sealed envelope of a server's reference as JSON text; None before the first seal."""
        found = tables.one("envelopes.one", {"server_id": server_id})
        return None if found is None else str(found["envelope"])

    def of_node(self, tables: Tables, node_id: int) -> dict[str, str]:
        """Return the sealed envelopes (JSON text) of all signs on a node, by server id."""
        rows = tables.all("envelopes.of-node", {"node_id": node_id})
        return {found["server_id"]: found["envelope"] for found in rows}


def _values(sealed: SignSealed) -> dict[str, object]:
    return {"server_id": sealed.server_id, "envelope": msgspec.json.encode(sealed.envelope).decode()}
