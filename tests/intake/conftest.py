"""A door for nodes on every store, and a node that has spoken to it."""

from __future__ import annotations

import pytest
from door import SERVERS, Door
from reporter import Reporter

from sealward.events.store.store import EventStore
from sealward.intake.reports import decoding


@pytest.fixture(params=[1, decoding.MANY], ids=["proved-ahead", "proved-when-decided"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have signatures verified by threads, ahead of deciding; and, for there are few, one by one."""
    monkeypatch.setattr(decoding, "MANY", request.param)


@pytest.fixture
def door(store: EventStore, many: None) -> Door:
    """Return an intake that has seen nothing yet."""
    del many
    return Door(store)


@pytest.fixture
def node(door: Door) -> Reporter:
    """Return a node with three servers, whose signs 1, 2, 3 are ordered."""
    made = Reporter("kvm1", 1)
    assert door.take(made.registration(), made.inventory(*SERVERS)) == [None, None]
    for one in SERVERS:
        door.handler.handle(made.order(one))
    door.appends.clear()
    door.heard.clear()
    return made
