"""What may be done with a node, a sentence a rule."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.commands import node as decider
from sealward.commands.context import SYSTEM, RequestContext
from sealward.commands.errors import HostnameTaken, NotRegistered
from sealward.commands.inventory import record_inventory
from sealward.commands.messages import (
    ActivateNode,
    DeactivateNode,
    LoseNode,
    RecordInventory,
    RegisterNode,
)
from sealward.commands.node_state import Node, evolve
from sealward.events.base import Event
from sealward.events.node import InstanceAppeared, InstanceLeft, NodeActivated, NodeLost, NodeReturned
from sealward.protocol import reports

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
REGISTER = RegisterNode(context=RequestContext(actor="node:kvm2"), hostname="kvm2", public_key="PEM")


def play(node: Node | None, events: list[Event]) -> Node:
    """Return the node after those events."""
    for event in events:
        node = evolve(node, event)
    assert node is not None
    return node


def registered() -> Node:
    """Return a node that has just registered."""
    return play(None, decider.register_node(None, REGISTER, node_id=2, now=NOW))


def inventory(node: Node, *instances: tuple[str, str]) -> list[Event]:
    """Return what follows when the node says that it has those servers."""
    command = RecordInventory(
        context=RequestContext(actor="node:kvm2"),
        hostname="kvm2",
        report=reports.Inventory(hostname="kvm2", instances=instances, taken_at=NOW),
    )
    return record_inventory(node, command, now=NOW)


def test_a_node_registers_once() -> None:
    """The same key again is no news; another key under the hostname is refused."""
    other = RegisterNode(context=RequestContext(actor="node:kvm2"), hostname="kvm2", public_key="OTHER")

    assert registered() == Node(2, "kvm2", "PEM")
    assert decider.register_node(registered(), REGISTER, node_id=3, now=NOW) == []
    with pytest.raises(HostnameTaken):
        decider.register_node(registered(), other, node_id=3, now=NOW)


def test_every_order_is_recorded_and_the_last_one_holds() -> None:
    """Activation is idempotent: said twice the node is as active as before, and both tasks are known."""
    command = ActivateNode(context=RequestContext(actor="user:admin", task_id="t-1"), hostname="kvm2")
    once = play(registered(), decider.activate_node(registered(), command, now=NOW))
    (again,) = decider.activate_node(
        once,
        msgspec.structs.replace(command, context=RequestContext(actor="user:admin", task_id="t-2")),
        now=NOW,
    )
    off = DeactivateNode(context=RequestContext(actor="user:admin", task_id="t-3"), hostname="kvm2")

    assert registered().active is None
    assert isinstance(again, NodeActivated)
    assert play(once, [again]).active is True
    assert play(once, decider.deactivate_node(once, off, now=NOW)).active is False


def test_the_same_order_is_carried_out_once() -> None:
    """A task id that is delivered again, as brokers do, adds nothing to the log."""
    command = ActivateNode(context=RequestContext(actor="user:celery", task_id="t-1"), hostname="kvm2")
    node = play(registered(), decider.activate_node(registered(), command, now=NOW))
    off = DeactivateNode(context=RequestContext(actor="user:celery", task_id="t-1"), hostname="kvm2")

    assert decider.activate_node(node, command, now=NOW) == []
    assert decider.deactivate_node(node, off, now=NOW) == []


def test_a_node_is_lost_once_and_returns_when_it_registers() -> None:
    """Silence is recorded once; hearing the node again ends it."""
    command = LoseNode(context=SYSTEM, hostname="kvm2")
    (lost,) = decider.lose_node(registered(), command, now=NOW)
    silent = play(registered(), [lost])

    assert isinstance(lost, NodeLost)
    assert decider.lose_node(silent, command, now=NOW) == []
    (returned,) = decider.register_node(silent, REGISTER, node_id=3, now=NOW)
    assert isinstance(returned, NodeReturned)
    assert play(silent, [returned]) == registered()


def test_what_is_not_registered_takes_no_orders() -> None:
    """An unknown node is refused."""
    with pytest.raises(NotRegistered):
        decider.activate_node(
            None, ActivateNode(context=RequestContext(actor="user:admin"), hostname="kvm9"), now=NOW
        )


def test_a_renamed_server_leaves_before_it_appears() -> None:
    """The last word on a server is that it is there."""
    before = play(registered(), inventory(registered(), ("s-1", "old")))
    left, appeared = inventory(before, ("s-1", "new"))

    assert isinstance(left, InstanceLeft)
    assert isinstance(appeared, InstanceAppeared)


@given(st.lists(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"))), max_size=6))
def test_the_inventory_is_what_the_node_said_last(said: list[set[tuple[str, str]]]) -> None:
    """For every history the transitions add up to the last report, and saying it again is no news."""
    node = registered()
    for instances in said:
        node = play(node, inventory(node, *instances))

        assert node.instances == instances
        assert inventory(node, *instances) == []


def test_that_a_server_begins_or_ceases_to_run_is_recorded_once() -> None:
    """An agent that does not say it says nothing about it, and takes back nothing."""
    one = (("s-1", "instance-1"),)

    def said(node: Node, running: frozenset[str] | None) -> list[Event]:
        command = RecordInventory(
            context=RequestContext(actor="node:kvm2"),
            hostname="kvm2",
            report=reports.Inventory(
                hostname="kvm2",
                instances=one,
                taken_at=NOW,
                running=None if running is None else tuple(running),
            ),
        )
        return record_inventory(node, command, now=NOW)

    began = said(registered(), frozenset({"s-1"}))
    node = play(registered(), began)
    ceased = said(node, frozenset())

    assert [getattr(event, "running", None) for event in (*began, *ceased)] == [True, False]
    assert said(node, frozenset({"s-1"})) == said(node, None) == []
    assert play(node, ceased).running == frozenset()
    assert said(play(node, ceased), frozenset()) == []
    assert play(node, inventory(node)).running == frozenset()
