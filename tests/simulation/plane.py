"""The control plane of a simulation without threads: real handler, intake, teller, leases, projections."""

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
from simulation.network import Answered, Deliveries, Killed, Network

from sealward.commands.node_state import Node
from sealward.commands.writer.handler import Handler
from sealward.control.leases import Leases
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.control.untold import Untold
from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.message import Delivered, Later, Poison
from sealward.events.signing.keys import public_pem
from sealward.events.store.store import EventStore, NextId, StoreUnavailable
from sealward.intake.intake import Intake
from sealward.intake.lease_keeper import LeaseKeeper
from sealward.intake.registration.addresses import Addresses
from sealward.intake.reports.activity import NodeActivity
from sealward.intake.reports.locations import Locations
from sealward.intake.reports.senders import NEVER, Senders
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.assignments import Assignments, AuthorityKeys
from sealward.intake.telling.backoff import Backoff
from sealward.intake.telling.notes import Notes
from sealward.intake.telling.reminders import Reminders
from sealward.intake.telling.teller import Teller
from sealward.intake.telling.voice import Voice
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend
from sealward.protocol import reports
from sealward.protocol.desired import Desired
from sealward.protocol.turn import Turn

AUTHORITY = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
AUTHORITY_PEM = public_pem(AUTHORITY.public_key())
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
        self._known: dict[str, Turn] = {}

    def of(self, keyids: Collection[str]) -> dict[str, Turn]:
        """Return the last turns of those keys that were heard."""
        return {one: self._known[one] for one in keyids if one in self._known}

    def keep(self, turns: Mapping[str, Turn]) -> None:
        """Keep later turns."""
        self._known |= {one: turn for one, turn in turns.items() if turn > self._known.get(one, NEVER)}


class Uncounted:
    """Counts nothing: `refused` has all of it."""

    def add(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Do nothing."""


class Missed(Untold):
    """The nodes that missed something, in a dictionary."""

    def __init__(self) -> None:
        self._missed: dict[str, int] = {}

    def note(self, missed: Mapping[str, int]) -> None:
        """Note nodes, each with the last event that it missed."""
        for hostname, position in missed.items():
            self._missed[hostname] = max(position, self._missed.get(hostname, 0))

    def all(self) -> dict[str, int]:
        """Return all of them."""
        return dict(self._missed)

    def forget(self, hostname: str, position: int) -> None:
        """Forget a node that missed nothing later."""
        if self._missed.get(hostname, position + 1) <= position:
            del self._missed[hostname]


class Patient(Backoff):
    """Tries again at once: time is what the world says that it is."""

    def waits(self, hostname: str) -> bool:
        """Say no."""
        del hostname
        return False


class Place:
    """How far nodes were told."""

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
        self._untold = Missed()
        self.taken: Counter[bytes] = Counter()
        self.refused: list[Poison] = []
        self.begin()

    def begin(self) -> None:
        """Start the worker (again)."""
        voice = Voice(AUTHORITY)
        deliveries, answered = Deliveries(self._network), Answered(self._network)
        self._assignments = Assignments(
            self.store, self.projections, AuthorityKeys(AUTHORITY_PEM), 0.0, self._clock
        )
        self._answers = Answers(self._desire, answered, voice, Patient())
        self._notes = Notes(answered, voice, Patient())
        self._intake = Intake(
            self.handler,
            cast("NodeActivity", self),
            self._clock,
            answers=self._answers,
            notes=self._notes,
            locations=Locations(self.projections),
            assignments=self._assignments,
            senders=Senders(None),
            turns=self.turns,
            unproven=cast("Unproven", Uncounted()),
            only_invited=False,
            nonce=lambda: f"n-{next(self._nonces)}",
        )
        self._teller = Teller(
            self.store,
            deliveries,
            voice,
            kept=self.place,
            addresses=Addresses(self.projections, 0.0),
            untold=self._untold,
            backoff=Patient(),
        )
        self._reminders = Reminders(self._untold, deliveries, voice, backoff=Patient())
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
        self._do(self._answers.work_off)
        self._do(self._notes.work_off)
        return True

    def relay(self) -> None:
        """Tell nodes what has happened, and those that missed something to ask; answer who waits for it."""
        if self.store.head() > self.place.position:
            self._do(self._teller.tell)
        self._do(self._reminders.remind)
        self._do(self._answers.work_off)

    @property
    def owes(self) -> bool:
        """Say whether a node waits to be told something."""
        return self._answers.waits or bool(self._untold.all()) or self.place.position < self.store.head()

    def _do(self, work: Callable[[], None]) -> None:
        """Do something that is tried again when the store or the broker is away."""
        try:
            work()
        except (BusUnavailable, StoreUnavailable):
            pass
        except Killed:
            self.begin()

    def project(self) -> None:
        """Fold the next events."""
        self.projections.advance(self.store)

    def look_at_leases(self) -> None:
        """Declare silent nodes lost."""
        try:
            self._keeper.check()
        except Killed:
            self.begin()

    def desired_of(self, hostname: str) -> Desired:
        """Return what a node has to know. Raises StoreUnavailable."""
        return self._assignments.of(Node(1, hostname, "PEM"))

    def record(self, batch: Sequence[reports.AnyReport]) -> None:
        """Record leases; check that no node says what no node of a history says."""
        for one in batch:
            assert not (isinstance(one, reports.SetAside) and one.about != "told"), one
            assert not (isinstance(one, reports.Failure) and one.reason == "measuring-failed"), one
        self._leases.touch({report.hostname for report in batch}, self._clock())

    def _desire(self, node: Node) -> Desired:
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
