"""A sweep that names ids one by one, as many as a message holds: the rows of everybody wait for it."""

from __future__ import annotations

import time
import uuid

import pytest
from door import NOW, Door
from hypothesis import given
from hypothesis import strategies as st
from reporter import Reporter

from sealward.events.node import NodeSwept
from sealward.events.store import store as stores
from sealward.events.wire import ranges
from sealward.protocol import reports

SIGNS = 300
SECONDS = 4.0
"""On a machine that does much else; looking at every range for every sign took more than ten."""


@pytest.fixture
def node() -> Reporter:
    """Return a node."""
    return Reporter("kvm1", 1, evidence=10)


@pytest.fixture
def door(node: Reporter) -> Door:
    """Return a door that knows the node, with as many servers under control."""
    made = Door(stores.in_memory())
    many = [str(uuid.UUID(int=number + 1)) for number in range(SIGNS)]
    made.take(node.registration(), node.inventory(*many, running=many))
    node.sign(made.handler, many)
    sealed = [node.measured(one, number, NOW) for number, one in enumerate(many, 1)]
    assert set(made.take(*sealed)) == {None}
    return made


def sweep(node: Reporter, reasons: int, ids: str) -> bytes:
    """Return a sweep that withholds trust for so many reasons."""
    report = reports.Sweep(
        hostname=node.hostname,
        cause="sweep",
        started_at=NOW,
        vouched="",
        withheld=tuple(reports.Withheld(f"reason-{number}", ids) for number in range(reasons)),
        counts={},
        digest="ab" * 32,
    )
    return node.seal(report)


def test_thousands_of_ranges_cost_the_rows_little(door: Door, node: Reporter) -> None:
    """None of the ids is a sign's: each sign is looked for in all of them."""
    ids = ",".join(str(10**7 + 2 * number) for number in range(7000))
    with door.rows():
        pass
    began = time.monotonic()
    with door.rows():
        pass
    before = time.monotonic() - began
    assert door.take(sweep(node, 50, ids)) == [None]
    began = time.monotonic()
    with door.rows():
        pass

    assert time.monotonic() - began - before < SECONDS


def test_there_are_no_more_reasons_than_reasons(door: Door, node: Reporter) -> None:
    """Twenty thousand of them fit into a message."""
    assert door.take(sweep(node, reports.MOST_REASONS + 1, "1")) == ["report.malformed"]
    assert not [one for one in door.log() if isinstance(one, NodeSwept)]
    assert door.take(sweep(node, reports.MOST_REASONS, "1")) == [None]


@given(st.sets(st.integers(1, 60)), st.integers(0, 60))
def test_what_ranges_hold_is_what_was_written(ids: set[int], one: int) -> None:
    """For every set of ids."""
    assert ranges.holds(ranges.parse(ranges.render(ids)), one) == (one in ids)
