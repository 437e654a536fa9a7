"""The control plane of a simulation: real handler, intake, relay, leases and projections, without threads."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eventsourcing.persistence import OperationalError, StoredEvent
from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder
from simulation.network import Killed, Network

from sealward.commands.handler import Handler
from sealward.commands.node import Node
from sealward.control.leases import Leases
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.events.bus import Bus, BusUnavailable, Delivered, Later, Poison
from sealward.events.relay import BusPublisher, Relay
from sealward.events.store import EventStore, NextId
from sealward.intake.assignments import Assignments
from sealward.intake.following import Where
from sealward.intake.intake import Intake
from sealward.intake.lease_keeper import LeaseKeeper
from sealward.intake.senders import NEVER, Senders
from sealward.projections.database import Projections
from sealward.projections.sqlite import SqliteBackend
from sealward.protocol import reports

AUTHORITY = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
FRESH_FOR = timedelta(minutes=15)
LEASE = timedelta(seconds=30)


class Recorder(POPOApplicationRecorder):
    """A log in memory whose writers may die, or lose its answer."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: object) -> Sequence[int] | None:
        """Insert all or none."""
        self._strike()
        positions = super().insert_events(stored_events, **kwargs)
        self._strike()
        return positions

    def _strike(self) -> None:
        if self._network.happens(self._network.weather.unsure):
            raise OperationalError("the answer was lost")
        if self._network.happens(self._network.weather.killed):
            raise Killed


class Memory(Leases):
    """Leases in a dictionary."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def touch(self, hostnames: Collection[str], now: datetime) -> None:
        """Some nodes were heard just now."""
        self._seen |= dict.fromkeys(hostnames, now)

    def forget(self, hostname: str, moment: datetime) -> None:
        """Forget a node."""
        if self._seen[hostname] < moment:
            del self._seen[hostname]

    def silent_since(self, moment: datetime) -> list[str]:
        """Return the nodes that were not heard since that moment."""
        return sorted(hostname for hostname, seen in self._seen.items() if seen < moment)


class Turns(LastTurns):
    """The last turns, in a dictionary that outlives a worker."""

    def __init__(self) -> None:
        self._known: dict[str, reports.Turn] = {}

    def of(self, keyids: Collection[str]) -> dict[str, reports.Turn]:
        """Return the last turns of those keys that were heard."""
        return {one: self._known[one] for one in keyids if one in self._known}

    def keep(self, turns: Mapping[str, reports.Turn]) -> None:
        """Keep later turns."""
        self._known |= {one: turn for one, turn in turns.items() if turn > self._known.get(one, NEVER)}


class Uncounted:
    """Counts nothing: `refused` has all of it."""

    def add(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Do nothing."""


class Place:
    """How far the relay has come."""

    def __init__(self) -> None:
        self.position = 0

    def load(self) -> int:
        """Return the position."""
        return self.position

    def keep(self, position: int) -> None:
        """Keep the position."""
        self.position = position


class Plane:
    """One log, and the workers on it."""

    def __init__(self, network: Network, clock: Callable[[], datetime]) -> None:
        self._network = network
        self._clock = clock
        self.store = EventStore(Recorder(network), POPOAggregateRecorder(), _ids(), lambda: None)
        self.projections = in_memory()
        self.handler = Handler(self.store, AUTHORITY, clock=clock, fresh_for=FRESH_FOR)
        self.place = Place()
        self._leases = Memory()
        self.turns = Turns()
        self._nonces = itertools.count()
        self.taken: Counter[bytes] = Counter()
        self.refused: list[Poison] = []
        self.begin()

    def begin(self) -> None:
        """Start the worker (again)."""
        bus = cast("Bus", self._network)
        self._assignments = Assignments(
            self.store, self.projections, AUTHORITY.public_key(), 0.0, self._clock
        )
        self._intake = Intake(
            self.handler,
            self._heard,
            bus,
            self._desire,
            self._clock,
            where=Where(self._assignments.elsewhere, self._assignments.also_at, self._assignments.unsettled),
            sign_of=self._assignments.sign_of,
            senders=Senders(None),
            turns=self.turns,
            unproven=cast("Unproven", Uncounted()),
            only_invited=False,
            nonce=lambda: f"n-{next(self._nonces)}",
        )
        self._relay = Relay(self.store, BusPublisher(bus), self.place)
        self._keeper = LeaseKeeper(self._leases, self.handler, LEASE, self._clock)

    def take(self, *batch: bytes) -> bool:
        """Work on reports together; say whether they are done with."""
        try:
            answers = self._intake.take([Delivered(body, {}) for body in batch])
        except Later:
            return False
        except Killed:
            self.begin()
            return False
        self.refused += [one for one in answers if one is not None]
        self.taken.update(batch)
        return True

    def relay(self) -> None:
        """Publish the next events, if there are any."""
        if self.store.head() > self.place.position:
            try:
                self._relay.copy()
            except BusUnavailable:
                pass
            except Killed:
                self.begin()

    def project(self) -> None:
        """Fold the next events."""
        self.projections.advance(self.store)

    def look_at_leases(self) -> None:
        """Declare lost whoever is silent."""
        try:
            self._keeper.look()
        except Killed:
            self.begin()

    def desired_of(self, hostname: str) -> reports.Desired:
        """Return what a node has to know. Raises StoreUnavailable."""
        return self._assignments.of(Node(1, hostname, "PEM"))

    def _heard(self, batch: Sequence[reports.AnyReport]) -> None:
        self._leases.touch({report.hostname for report in batch}, self._clock())

    def _desire(self, node: Node) -> reports.Desired:
        if self._network.happens(0.8) or self._network.weather.killed == 0:
            self.project()
        return self._assignments.of(node)


def in_memory() -> Projections:
    """Return projections that live as long as the process."""
    return Projections(SqliteBackend(Path(":memory:")))


def rows(projections: Projections) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    with projections.reading() as tables:
        cursor = cast("Any", tables)._cursor
        return {
            one.name: sorted(
                (tuple(row) for row in cursor.execute(f"SELECT * FROM {one.name}")),  # noqa: S608 - our own
                key=repr,
            )
            for one in projections.all
        }


def _ids() -> NextId:
    counters: dict[str, itertools.count[int]] = {}

    def next_id(name: str) -> int:
        return next(counters.setdefault(name, itertools.count(1)))

    return next_id
