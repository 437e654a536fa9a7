"""Celery clients: each gives so many orders in a time, and none pays for another."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from door import NOW, ONE_NODE, Door
from reporter import Reporter

from sealward.events.bus.message import Delivered, Later
from sealward.events.node import NodeActivated, NodeDeactivated
from sealward.events.store.store import EventStore, StoreUnavailable
from sealward.intake import clients
from sealward.intake.clients import Clients
from sealward.intake.orders import TASK, Orders
from sealward.intake.reports.quota import LARGEST, Allowance

OWN = "celery-own"


class Clock:
    """Seconds that go by when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door that knows a node."""
    made = Door(store)
    assert made.take(Reporter("kvm1", 1).registration()) == [None]
    return made


@pytest.fixture
def desk(door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Return what takes orders: ten at once, one a second after that."""
    monkeypatch.setattr(clients, "ORDERS", Allowance(10, 1))
    taken = Orders(door.handler, ONE_NODE, lambda: NOW)
    return Clients(taken, [OWN], door.unproven, clock)


def order(number: int, inbox: str | None = None, sender: str | None = None) -> Delivered:
    """Return an order of a Celery client, another way each time."""
    action = ("activate", "deactivate")[number % 2]
    body = json.dumps([[], {"node_id": 1, "action": action}, {}]).encode()
    return Delivered(body, {"task": TASK, "id": f"t-{number}"}, sender, inbox=inbox)


def actors(door: Door) -> list[str]:
    """Return who has switched the node on or off."""
    return [one.actor for one in door.log() if isinstance(one, NodeActivated | NodeDeactivated)]


def test_an_order_by_its_own_inbox_names_its_client(desk: Clients, door: Door) -> None:
    """One by the shared inbox is that of any Celery client."""
    assert desk.take([order(0, OWN), order(1)]) == [None, None]
    assert actors(door) == ["user:celery/celery-own", "user:celery"]
    assert [one.user for one in desk.inboxes()] == [None, OWN]


def test_a_client_in_debt_waits_in_its_own_inbox(desk: Clients, door: Door, clock: Clock) -> None:
    """What was delivered by then is carried out: nothing is dropped."""
    assert desk.take([order(number, OWN) for number in range(15)]) == [None] * 15
    assert len(actors(door)) == 15
    assert desk.rest(OWN) == 6
    assert desk.rest("celery-other") == 0
    clock.now += desk.rest(OWN)
    assert desk.rest(OWN) == 0


def test_in_the_shared_inbox_it_is_dropped_and_counted(desk: Clients, door: Door) -> None:
    """Who names a sender there has a quota of its own; nobody pays for another."""
    many = [order(number) for number in range(30)]
    answers = desk.take(many)
    assert answers[:10] == [None] * 10
    assert {one.reason for one in answers[10:] if one is not None} == {"order.over-quota"}
    assert len(actors(door)) == 10
    assert door.counted() == {("", "order.over-quota"): 20}
    assert desk.take([order(30, sender="celery-named"), order(31, OWN)]) == [None, None]


def test_what_is_too_large_is_no_order(desk: Clients) -> None:
    """It is not read."""
    (answer,) = desk.take([Delivered(b"[" * (LARGEST + 1), {}, None)])
    assert answer is not None
    assert answer.reason == "order.malformed"


def test_an_outage_of_the_store_costs_no_client_anything(
    desk: Clients, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same orders are tried again and again, and carried out in the end."""

    def away(_: object) -> None:
        raise StoreUnavailable("away")

    batch = [order(number) for number in range(10)]
    with monkeypatch.context() as patched:
        patched.setattr(door.handler, "handle", away)
        for _ in range(50):
            with pytest.raises(Later):
                desk.take(batch)
    assert desk.take(batch) == [None] * 10


@pytest.mark.parametrize("make", [lambda n: order(n, OWN), order])
def test_garbage_is_paid_for_as_well(desk: Clients, make: Callable[[int], Delivered]) -> None:
    """So that a client does not fill the dead letters."""
    bad = [Delivered(b"garbage", {}, one.sender, inbox=one.inbox) for one in map(make, range(10))]
    assert {one.reason for one in desk.take(bad) if one is not None} == {"order.malformed"}
    assert desk.rest(OWN) > 0 or desk.take([make(10)])[0] is not None
