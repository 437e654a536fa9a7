"""A node seals a server with what it has measured for no order, for an order before, or for another server's.

Whoever has taken such a measurement away, or made it ahead, could have it sealed whenever the next order
comes. A measurement that seals names the task of the order that waits, which nobody knows before it is given.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from door import NOW, SERVERS, Door
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from reporter import Reporter, task_of

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.events.sign import SignSealed
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import statement as statements
from sealward.events.store.store import EventStore, in_memory
from sealward.node_agent.sealing import Order, Sealing
from sealward.protocol import codec, reports
from sealward.protocol.desired import Assignment

SERVER, OTHER = SERVERS[:2]
NEXT = "5f1f6c1e-the-second-order"


@pytest.fixture
def node() -> Reporter:
    """Return a node with two servers."""
    return Reporter("kvm1", 1)


@pytest.fixture
def door(store: EventStore, node: Reporter) -> Door:
    """Return a door at which both servers are sealed, and one is ordered to be sealed anew."""
    return opened(store, node)


def opened(store: EventStore, node: Reporter) -> Door:
    """Return a door at which both servers are sealed, and one is ordered to be sealed anew."""
    made = Door(store)
    assert made.take(node.registration(), node.inventory(SERVER, OTHER)) == [None, None]
    node.sign(made.handler, [SERVER, OTHER])
    assert made.take(node.measured(SERVER, 1, NOW), node.measured(OTHER, 2, NOW)) == [None, None]
    made.now += timedelta(minutes=1)
    made.handler.handle(
        ask.UpdateSign(context=RequestContext(actor="user:admin", task_id=NEXT), server_id=SERVER)
    )
    return made


def sealed(door: Door) -> list[tuple[int, int, str | None]]:
    """Return what was sealed: sign, generation and task."""
    return [(one.sign_id, one.generation, one.task_id) for one in door.log() if isinstance(one, SignSealed)]


BEFORE = [(1, 1, task_of(SERVER)), (2, 1, task_of(OTHER))]


@pytest.mark.parametrize("task_id", [None, task_of(SERVER), task_of(OTHER), "", "made-up", NEXT + "x"])
def test_a_measurement_for_another_order_seals_nothing(
    door: Door, node: Reporter, task_id: str | None
) -> None:
    """Made ahead of the order, for the order before, for another server's: refused, and on record."""
    evil = node.measured(SERVER, 1, door.now, generation=2, disk="evil", task_id=task_id, cause="sealed")

    assert door.take(evil) == ["report.malformed" if task_id == "" else "report.not-ordered"]
    assert sealed(door) == BEFORE
    assert (door.sign(SERVER).sealed, door.sign(SERVER).ordered) == (1, 2)


def test_the_task_is_what_the_node_has_signed_for(door: Door, node: Reporter) -> None:
    """An old statement does not become new by a report around it that names the order."""
    old = codec.parse(
        envelopes.parse(node.measured(SERVER, 1, door.now, generation=2, disk="evil", task_id=None))
    )
    assert isinstance(old, reports.Measurement)
    around = reports.Measurement(
        hostname="kvm1", server_id=SERVER, envelope=old.envelope, cause="sealed", task_id=NEXT
    )

    assert door.take(node.seal(around)) == ["report.malformed"]
    assert sealed(door) == BEFORE


def test_the_order_of_a_sign_before_counts_for_no_later_one(door: Door, node: Reporter) -> None:
    """Revoked and signed anew: the same server, the same generation, another order."""
    door.handler.handle(ask.RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVER))
    door.handler.handle(
        replace(node.order(SERVER), context=RequestContext(actor="user:admin", task_id="anew"))
    )
    old = node.measured(SERVER, 3, door.now, task_id=task_of(SERVER), cause="sealed")

    assert door.take(old) == ["report.not-ordered"]
    assert door.take(node.measured(SERVER, 3, door.now, task_id="anew", cause="sealed")) == [None]
    assert sealed(door) == [*BEFORE, (3, 1, "anew")]


def test_what_was_ordered_is_sealed_and_says_for_which_order(door: Door, node: Reporter) -> None:
    """The order is in the statement that the node has signed, where a verifier finds it."""
    assert door.take(node.measured(SERVER, 1, door.now, generation=2, task_id=NEXT, cause="sealed")) == [None]
    last = [one for one in door.log() if isinstance(one, SignSealed)][-1]

    assert sealed(door) == [*BEFORE, (1, 2, NEXT)]
    envelope = envelopes.parse(last.envelope)
    assert statements.parse(envelope.payload, envelope.payload_type).task_id == NEXT


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from((SERVER, OTHER)),
            st.integers(1, 3),
            st.integers(1, 3),
            st.sampled_from((None, task_of(SERVER), task_of(OTHER), NEXT, "made-up")),
        ),
        max_size=12,
    )
)
def test_whatever_a_node_says_each_seal_is_for_its_order(
    said: list[tuple[str, int, int, str | None]],
) -> None:
    """In every history each generation is sealed at most once, and for the task that ordered it."""
    node = Reporter("kvm1", 1)
    door = opened(in_memory(), node)
    for server_id, sign_id, generation, task_id in said:
        door.now += timedelta(seconds=1)
        body = node.measured(server_id, sign_id, door.now, generation=generation, task_id=task_id)
        door.take(body)

    assert sealed(door) in (BEFORE, [*BEFORE, (1, 2, NEXT)])


def test_an_order_from_before_orders_had_tasks_is_sealed(store: EventStore, node: Reporter) -> None:
    """There is no task to name, and none may be named."""
    door = Door(store)
    door.take(node.registration(), node.inventory(SERVER))
    door.handler.handle(replace(node.order(SERVER), context=RequestContext(actor="user:admin", task_id=None)))

    assert door.take(node.measured(SERVER, 1, NOW, task_id="made-up")) == ["report.not-ordered"]
    assert door.take(node.measured(SERVER, 1, NOW, task_id=None)) == [None]


def test_an_agent_that_starts_anew_is_told_the_task_of_the_order(door: Door) -> None:
    """Also where the task has ended, and waits for nobody: then no duty names it."""
    assert door.sign(SERVER).ordered_task == NEXT
    assert door.sign(OTHER).ordered_task == task_of(OTHER)
    seen: list[Order] = []

    def seal(order: Order) -> bool:
        seen.append(order)
        return True

    sealing = Sealing(seal)
    sealing.take_over([Assignment(1, SERVER, 2, 1, "true", (), None, ordered_task=NEXT)])
    sealing.carry_out()

    assert seen == [Order(SERVER, 1, 2, NEXT)]
