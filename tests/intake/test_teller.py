"""Which node is told what of the log, and what is kept when a node cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest
from door import AUTHORITY, InMemory, Queues
from factories import NODE, NOON, event

from sealward.control.database import ControlPosition
from sealward.control.untold import Untold
from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.base import Event, node_stream
from sealward.events.bus.connection import BusUnavailable
from sealward.events.store import store as stores
from sealward.events.store.store import StoreUnavailable
from sealward.events.wire import cloudevent
from sealward.intake.registration.addresses import Addresses
from sealward.intake.telling.teller import Teller
from sealward.intake.telling.voice import Voice
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend
from sealward.protocol import telling


class Told:
    """A teller on a log in memory; `queues` has what it sent."""

    def __init__(self) -> None:
        self.control = InMemory()
        self.store = stores.in_memory()
        self.queues = Queues()
        self.place = ControlPosition(self.control, "teller")
        self.untold = Untold(self.control)
        self.projections = Projections(SqliteBackend(Path(":memory:")))
        self.begin()

    def begin(self) -> None:
        """Start the worker anew: what it had in memory is gone."""
        self.teller = Teller(
            self.store,
            self.queues,
            Voice(AUTHORITY),
            kept=self.place,
            addresses=Addresses(self.projections, 0.0),
            untold=self.untold,
        )

    def append(self, *events: Event) -> None:
        """Append events, and have them told."""
        stream = node_stream("log")
        self.store.append(stream, len(self.store.read(stream)), events)

    def said(self, hostname: str) -> list[object]:
        """Return what a node was told: the class of each event, and positions to ask as of."""
        keys = [AUTHORITY.public_key()]
        messages = [telling.unseal(one, hostname, keys).message for one in self.queues.of(hostname)]
        return [
            type(cloudevent.parse(bytes(one.event)).event)
            if isinstance(one, telling.Happened)
            else getattr(one, "position", None)
            for one in messages
        ]


@pytest.fixture
def told() -> Told:
    """Return a teller that knows two nodes."""
    made = Told()
    made.append(registered(1, "kvm1"), registered(2, "kvm2"))
    made.teller.tell()
    made.queues.letters.clear()
    return made


def registered(node_id: int, hostname: str) -> of_node.NodeRegistered:
    """Return that a node is known."""
    return of_node.NodeRegistered(
        timestamp=NOON, actor="system", node_id=node_id, hostname=hostname, public_key="PEM"
    )


def test_a_node_hears_what_concerns_it(told: Told) -> None:
    """Events that name its id, in their order, and no others."""
    told.append(
        of_node.NodeActivated(**NODE | {"node_id": 1, "hostname": "kvm1"}),
        of_node.NodeActivated(**NODE | {"node_id": 2, "hostname": "kvm2"}),
        of_node.NodeDeactivated(**NODE | {"node_id": 1, "hostname": "kvm1"}),
    )
    told.teller.tell()

    assert told.said("kvm1") == [of_node.NodeActivated, of_node.NodeDeactivated]
    assert told.said("kvm2") == [of_node.NodeActivated]


def test_both_ends_of_a_move_have_to_ask(told: Told) -> None:
    """The event says that the sign went; what goes with it is in the answer."""
    told.append(event(of_sign.SignMoved, node_id=2, hostname="kvm2", from_node_id=1, from_hostname="kvm1"))
    told.teller.tell()

    assert told.said("kvm1") == told.said("kvm2") == [of_sign.SignMoved, 3]


def test_a_node_that_returns_has_to_ask(told: Told) -> None:
    """For what it did not hear meanwhile."""
    told.append(of_node.NodeReturned(**NODE | {"node_id": 2, "hostname": "kvm2"}))
    told.teller.tell()

    assert (told.said("kvm1"), told.said("kvm2")) == ([], [3])


def test_what_a_node_has_said_itself_is_not_told(told: Told) -> None:
    """An inventory of thousands of servers is no message to anybody."""
    told.append(
        event(of_node.InstanceAppeared), event(of_node.InstanceLeft), event(of_node.NodeReportRefused)
    )
    told.teller.tell()

    assert told.queues.letters == []
    assert told.place.load() == 5


def test_nothing_is_missed_while_the_broker_is_away(told: Told) -> None:
    """All of it is told again, and nobody is noted for it."""
    told.append(of_node.NodeActivated(**NODE | {"node_id": 1, "hostname": "kvm1"}))
    told.queues.is_away = True
    with pytest.raises(BusUnavailable):
        told.teller.tell()
    told.queues.is_away = False
    told.teller.tell()

    assert told.said("kvm1") == [of_node.NodeActivated]
    assert told.untold.all() == {}


def test_what_a_node_missed_outlives_the_worker(told: Told) -> None:
    """A position for that node alone; the place goes on. Another worker finds the hostname in the rows."""
    told.queues.full.add("node.kvm1")
    told.append(of_node.NodeActivated(**NODE | {"node_id": 1, "hostname": "kvm1"}))
    told.teller.tell()
    told.begin()
    told.append(of_node.NodeDeactivated(**NODE | {"node_id": 1, "hostname": "kvm1"}))
    with pytest.raises(StoreUnavailable):
        told.teller.tell()
    assert told.place.load() == 3
    while told.projections.advance(told.store):
        pass
    told.teller.tell()

    assert told.untold.all() == {"kvm1": 4}
    assert told.place.load() == 4


def test_a_place_begins_once(told: Told) -> None:
    """At its first start a teller tells nothing of what was before; later it goes on where it was."""
    place = ControlPosition(told.control, "new")
    place.begin(7)
    place.begin(9)

    assert place.load() == 7
