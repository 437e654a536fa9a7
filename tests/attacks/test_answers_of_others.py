"""A node answers a task of another node, whose id it knows: the task goes on."""

from __future__ import annotations

import pytest
from door import NOW, SERVERS, Door
from reporter import Reporter

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.events.store import store as stores
from sealward.protocol import reports

SERVER, OTHER = SERVERS[:2]
ACTIVATE, VALIDATE = "activate-every-night", "validate-1"


@pytest.fixture
def home() -> Reporter:
    """Return the node that the tasks wait for."""
    return Reporter("kvm1", 1)


@pytest.fixture
def liar() -> Reporter:
    """Return the other node."""
    return Reporter("kvm2", 2)


@pytest.fixture
def door(home: Reporter, liar: Reporter) -> Door:
    """Return a door with a task that waits for a node, and one that waits for a server of that node."""
    made = Door(stores.in_memory())
    made.take(home.registration(), liar.registration(), home.inventory(SERVER), liar.inventory(OTHER))
    made.handler.handle(home.order(SERVER))
    made.handler.handle(liar.order(OTHER))
    assert made.take(home.measured(SERVER, 1, NOW), liar.measured(OTHER, 2, NOW)) == [None, None]
    made.handler.handle(
        ask.ActivateNode(context=RequestContext(actor="user:celery", task_id=ACTIVATE), hostname="kvm1")
    )
    made.handler.handle(
        ask.RequestValidation(context=RequestContext(actor="user:admin", task_id=VALIDATE), server_id=SERVER)
    )
    return made


def states(door: Door) -> dict[str, str]:
    """Return the states of both tasks."""
    found: dict[str, str] = {}
    with door.rows() as (projections, tables):
        for one in (ACTIVATE, VALIDATE):
            row = projections.tasks.one(tables, one)
            assert row is not None
            found[one] = row.state
    return found


def swept(node: Reporter, task_id: str) -> bytes:
    """Return a sweep that answers a task."""
    return node.seal(
        reports.Sweep(
            hostname=node.hostname,
            cause="node-activated",
            started_at=NOW,
            vouched="",
            withheld=(),
            counts={"true": 99},
            digest="ab" * 32,
            task_id=task_id,
        )
    )


def test_another_node_ends_no_task(door: Door, home: Reporter, liar: Reporter) -> None:
    """By no sweep, no measurement and no failure; the node itself ends each by what was asked."""
    for task in (ACTIVATE, VALIDATE):
        failed = reports.Failure(
            hostname="kvm2",
            server_id=OTHER,
            sign_id=2,
            reason="domain-locked",
            failed_at=NOW,
            cause="requested",
            task_id=task,
        )
        assert (
            door.take(swept(liar, task), liar.measured(OTHER, 2, NOW, task_id=task), liar.seal(failed))
            == [None] * 3
        )
    assert set(states(door).values()) == {"PENDING"}

    door.take(swept(home, VALIDATE), home.measured(SERVER, 1, NOW, task_id=ACTIVATE))
    assert set(states(door).values()) == {"PENDING"}
    door.take(swept(home, ACTIVATE), home.measured(SERVER, 1, NOW, task_id=VALIDATE))
    assert set(states(door).values()) == {"SUCCESS"}
