"""The envelope in force follows from the log, however it is cut into batches."""

from __future__ import annotations

import sqlite3

import pytest
from factories import SERVER, event, recorded

from sealward.events.base import Event
from sealward.events.sign import SignCreated, SignRevoked, SignSealed, SignUpdated
from sealward.projections.envelopes import Envelopes
from sealward.projections.store.tables import SqliteTables

FIRST = event(SignSealed)
SECOND = event(SignSealed, envelope={"payload": "W10=", "signatures": []})


@pytest.mark.parametrize(
    ("history", "known"),
    [
        ([event(SignCreated)], None),
        ([event(SignCreated), FIRST], '{"payload":"e30=","signatures":[]}'),
        ([event(SignCreated), FIRST, event(SignUpdated)], '{"payload":"e30=","signatures":[]}'),
        ([event(SignCreated), FIRST, event(SignUpdated), SECOND], '{"payload":"W10=","signatures":[]}'),
        ([event(SignCreated), FIRST, event(SignRevoked)], None),
        ([event(SignCreated), FIRST, event(SignRevoked), event(SignCreated)], None),
    ],
)
@pytest.mark.parametrize("every", [1, 2, 7])
def test_the_last_seal_is_the_envelope_in_force(history: list[Event], known: str | None, every: int) -> None:
    """A re-sign keeps the old reference until the new one is sealed; a revoked sign has none."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    tables, envelopes = SqliteTables(connection.cursor()), Envelopes()
    envelopes.reset(tables)
    whole = recorded(history)
    for start in range(0, len(whole), every):
        envelopes.apply(whole[start : start + every], tables)

    assert envelopes.one(tables, SERVER) == known
