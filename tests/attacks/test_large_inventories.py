"""Inventories as large as they may be, and larger: what one node has costs the others little."""

from __future__ import annotations

import time
import uuid

import pytest
from door import NOW, Door
from hypothesis import given
from hypothesis import strategies as st
from reporter import Reporter

from sealward.commands import node_state
from sealward.events.bus.message import Delivered
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.store.store import EventStore
from sealward.intake.reports.quota import Quota
from sealward.protocol import reports

OWN = "sealward-worker"
SECONDS = 20.0
"""For the largest inventory there may be, on a machine that does much else: folding it server by server took
longer than that for each thousand of its servers."""


def servers(count: int) -> list[str]:
    """Return so many ids."""
    return [str(uuid.UUID(int=number + 1)) for number in range(count)]


def timed(door: Door, *bodies: bytes) -> tuple[list[str | None], float]:
    """Have messages taken of a node that was silent before; return the answers and how many seconds."""
    door._intake._quota = Quota()
    began = time.monotonic()
    answers = door.deliver(*[Delivered(one, {}, "node.kvm1") for one in bodies])
    return answers, time.monotonic() - began


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door that knows the node kvm1."""
    return Door(store, OWN)


@pytest.fixture
def node(door: Door) -> Reporter:
    """Return a node without servers."""
    made = Reporter("kvm1", 1)
    assert timed(door, made.registration())[0] == [None]
    return made


def test_an_inventory_beyond_the_bound_is_refused(door: Door, node: Reporter) -> None:
    """Sixty thousand servers: no event but that it was refused, and at once."""
    answers, seconds = timed(door, node.inventory(*servers(60_000)))

    assert answers == ["report.malformed"]
    assert seconds < SECONDS / 4
    assert len(door.log()) == 2


@pytest.mark.alone
@pytest.mark.parametrize(
    "store",
    [*(pytest.param(one, marks=pytest.mark.more) for one in ("memory", "sqlite")), "postgres"],
    indirect=True,
)
def test_the_largest_inventory_is_recorded_fast(door: Door, node: Reporter, store: EventStore) -> None:
    """All of it appears, half of it leaves, all of it runs: each is once through the servers."""
    every = servers(reports.MOST_SERVERS)
    half = every[::2]
    for body, events in (
        (node.inventory(*every), len(every)),
        (node.inventory(*half), len(half)),
        (node.inventory(*every, running=every), len(every)),
        (node.inventory(*every, running=every), 0),
    ):
        before = store.head()
        answers, seconds = timed(door, body)
        assert (answers, store.head() - before) == ([None], events)
        assert seconds < SECONDS


facts = st.tuples(
    st.booleans(),
    st.sampled_from(["s-1", "s-2", "s-3"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([True, False, None]),
    st.sampled_from([True, False, None]),
)


@given(st.lists(facts))
def test_many_facts_fold_as_one_after_the_other(
    drawn: list[tuple[bool, str, str, bool | None, bool | None]],
) -> None:
    """For every history of servers that come, go, run, cease to run and leave."""
    meta = {"timestamp": NOW, "actor": "node:kvm1", "node_id": 1, "hostname": "kvm1"}
    events = [
        InstanceAppeared(**meta, server_id=server, instance_name=name, running=running, leaving=leaving)  # type: ignore[arg-type]
        if appears
        else InstanceLeft(**meta, server_id=server, instance_name=name)  # type: ignore[arg-type]
        for appears, server, name, running, leaving in drawn
    ]
    began: node_state.Node | None = node_state.Node(1, "kvm1", "PEM")
    one_by_one = began
    for event in events:
        one_by_one = node_state.evolve(one_by_one, event)

    assert node_state.fold(began, events) == one_by_one
