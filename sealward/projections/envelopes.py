"""The references in force as they are sealed: the envelope that a node and the authority have signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.events.sign import SignCreated, SignEvent, SignRevoked, SignSealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.tables import Tables


class Envelopes:
    """Derives the rows from the log, and answers from them.

    They are kilobytes each and change with a seal alone, so that they do not stand in the rows of the signs.
    """

    name = "envelopes"

    def reset(self, tables: Tables) -> None:
        """Begin with no rows."""
        tables.run("envelopes.drop")
        tables.run("envelopes.create")

    def create(self, tables: Tables) -> None:
        """Make the table where there is none."""
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
        """Return the envelope in force of a signed server as JSON; None before its first seal."""
        found = tables.one("envelopes.one", {"server_id": server_id})
        return None if found is None else str(found["envelope"])

    def of_node(self, tables: Tables, node_id: int) -> dict[str, str]:
        """Return the envelopes of all signs on a node by server id."""
        rows = tables.all("envelopes.of-node", {"node_id": node_id})
        return {found["server_id"]: found["envelope"] for found in rows}


def _values(sealed: SignSealed) -> dict[str, object]:
    return {"server_id": sealed.server_id, "envelope": msgspec.json.encode(sealed.envelope).decode()}
