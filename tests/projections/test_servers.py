"""Where servers are, also those that are on two nodes."""

from __future__ import annotations

import sqlite3

from factories import SERVER, event, recorded

from sealward.events.base import Event
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.projections.servers import Servers
from sealward.projections.store.tables import SqliteTables


def found(*events: Event) -> int | None:
    """Return the node that the server is found on after those events."""
    row = Servers().find(after(*events), SERVER)
    return None if row is None else row.node_id


def after(*events: Event) -> SqliteTables:
    """Return the rows after those events."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    tables = SqliteTables(connection.cursor())
    Servers().reset(tables)
    for position, one in enumerate(events):
        Servers().apply(recorded([one], after=position), tables)
    return tables


def at(node_id: int, *, running: bool | None) -> Event:
    """Return that the server is on a node."""
    return event(InstanceAppeared, node_id=node_id, running=running)


def test_a_server_is_found_where_it_runs() -> None:
    """Whichever node spoke last; when it runs nowhere or nobody says, where it was seen last."""
    assert found(at(1, running=True), at(2, running=False)) == 1
    assert found(at(1, running=True), at(2, running=True), at(1, running=False)) == 2
    assert found(at(1, running=None), at(2, running=None)) == 2
    assert found(at(1, running=True), at(2, running=True), event(InstanceLeft, node_id=2)) == 1


def test_a_server_is_found_apart_from_one_node() -> None:
    """First where it runs, if there are several; nowhere when only that node has it."""
    rows = after(at(1, running=True), at(2, running=True), at(3, running=False))

    assert [one.node_id for one in Servers().elsewhere(rows, 1, SERVER)] == [2, 3]
    assert Servers().elsewhere(after(at(1, running=True)), 1, SERVER) == []
