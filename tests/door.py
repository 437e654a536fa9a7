"""The door for nodes, on a store and with queues that nobody reads, to be asked without either process."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.node_state import Node
from sealward.commands.writer.handler import Handler
from sealward.control.database import SqliteControl
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.events.base import Event
from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.message import Delivered, Poison
from sealward.events.bus.node_queues import Letter, QueueRefused
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.store.store import EventStore
from sealward.events.verdict import Verdict
from sealward.intake.intake import Intake
from sealward.intake.order_queries import OrderQueries
from sealward.intake.reports.activity import NodeActivity
from sealward.intake.reports.locations import Locations
from sealward.intake.reports.senders import Senders
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.assignments import Assignments
from sealward.intake.telling.notes import Notes
from sealward.intake.telling.voice import Voice
from sealward.projections.signs import SignRow
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend
from sealward.projections.store.tables import Tables
from sealward.protocol import reports, telling
from sealward.protocol.desired import Assignment, Desired
from sealward.protocol.queues import queue_of
from sealward.protocol.telling import Incoming, Inquiry

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SERVERS = tuple(str(uuid.UUID(int=number + 1)) for number in range(3))


class _OneNode:
    """Queries of orders on a fleet with the node kvm1, in which no task id is in use."""

    def hostname_of(self, _node_id: int) -> str | None:
        """Return kvm1 for each node id."""
        return "kvm1"

    def is_known(self, _task_id: str) -> bool:
        """Return False."""
        return False


ONE_NODE = cast("OrderQueries", _OneNode())


class InMemory(SqliteControl):
    """The control plane's own tables, without a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._create()


class Queues:
    """Queues of nodes that nobody reads: a `full` one takes nothing, a `locked` one cannot be made."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.full: set[str] = set()
        self.locked: set[str] = set()
        self.opened: list[str] = []
        self.deleted: list[str] = []
        self.is_away = False

    def of(self, hostname: str) -> list[bytes]:
        """Return what lies in the queue of a node."""
        return [one.body for one in self.letters if one.queue == queue_of(hostname)]

    def open(self, queue: str) -> None:
        """Make a queue."""
        self._look()
        if queue in self.locked:
            raise QueueRefused(405, "another connection has it to itself")
        self.opened.append(queue)

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Take letters for queues that are not full."""
        self._look()
        self.letters.extend(one for one in letters if one.queue not in self.full)
        return frozenset(one.queue for one in letters if one.queue in self.full)

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        self._look()
        self.deleted.append(queue)

    def close(self) -> None:
        """Do nothing."""

    def _look(self) -> None:
        if self.is_away:
            raise BusUnavailable("away")


class Door:
    """An intake on a store, with queues that nobody reads; it notes how often was appended.

    `own` is the control plane's user at a broker that vouches for senders; None stands for no broker.
    """

    def __init__(self, store: EventStore, own: str | None = None, *, only_invited: bool = False) -> None:
        self.now = NOW
        self.control = InMemory()
        self.unproven = Unproven(self.control, lambda: self.now, itertools.count().__next__)
        self._taken: set[bytes] = set()
        self.handler = Handler(store, AUTHORITY, clock=lambda: self.now, fresh_for=timedelta(minutes=15))
        self.heard: list[reports.AnyReport] = []
        self.told: list[str] = []
        self.appends: list[list[Event]] = []
        self.signs: dict[str, Callable[[], Assignment]] = {}
        self._store = store
        self._append_all = store.append_all
        store.append_all = self._appended  # type: ignore[method-assign]  # to count
        nonces = itertools.count()
        self.queues = Queues()
        self.sent = self.queues.letters
        voice = Voice(AUTHORITY)
        self._answers = Answers(self._desire, self.queues, voice)
        self._notes = Notes(self.queues, voice)
        self._intake = Intake(
            self.handler,
            cast("NodeActivity", self),
            lambda: self.now,
            answers=self._answers,
            notes=self._notes,
            locations=cast("Locations", self),
            nonce=lambda: f"nonce-{next(nonces)}",
            assignments=cast("Assignments", self),
            senders=Senders(own),
            turns=LastTurns(self.control),
            unproven=self.unproven,
            only_invited=only_invited,
        )

    def record(self, batch: Sequence[reports.AnyReport]) -> None:
        """Note the reports that were accepted, as the activity of nodes is recorded."""
        self.heard.extend(batch)

    def sign_of(self, server_id: str) -> Assignment | None:
        """Return the sign that a test has set for a server, or None."""
        return self.signs[server_id]() if server_id in self.signs else None

    def take(self, *bodies: bytes) -> list[str | None]:
        """Have a batch taken; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self.answers(*bodies)]

    def answers(self, *bodies: bytes) -> Sequence[Poison | None]:
        """Have a batch taken, and answered; what was taken before comes as what the broker delivers again."""
        batch = []
        for one in bodies:
            batch.append(Delivered(one, {}, redelivered=one in self._taken))
            self._taken.add(one)
        return self._take(batch)

    def deliver(self, *messages: Delivered) -> list[str | None]:
        """Have messages taken as they are; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self._take(messages)]

    def _take(self, batch: Sequence[Delivered]) -> Sequence[Poison | None]:
        taken = self._intake.take(batch)
        self._answers.work_off()
        self._notes.work_off()
        return taken

    def said(self, hostname: str) -> list[telling.Message]:
        """Return what a node was told."""
        return [message for to, message in self._told() if to == hostname]

    def _told(self) -> list[tuple[str, telling.Message]]:
        """Return all that nodes were told, in order: hostname and message."""
        keys = [AUTHORITY.public_key()]
        read = [(one.queue.removeprefix("node."), one.body) for one in self.sent]
        return [(to, telling.unseal(body, to, keys).message) for to, body in read]

    def counted(self) -> dict[tuple[str, str], int]:
        """Return how many messages were dropped, by the broker's user and the reason."""
        return {(one.sender, one.reason): one.messages for one in self.unproven.all()}

    def log(self) -> list[Event]:
        """Return the whole log."""
        return [one.event for one in self._store.follow(0)]

    def inquiries(self, hostname: str) -> list[Inquiry]:
        """Return what a node was asked as the home of servers, and forget it."""
        told = self._told()
        asked = [message for to, message in told if to == hostname and isinstance(message, Inquiry)]
        kept = [
            letter
            for letter, (_, message) in zip(self.sent, told, strict=True)
            if not isinstance(message, Inquiry)
        ]
        self.sent[:] = kept
        return asked

    def given(self) -> list[tuple[str, str, bool]]:
        """Return which start gates were told of which server, and whether they were given its reference."""
        return [
            (to, one.server_id, one.assignment is not None)
            for to, one in self._told()
            if isinstance(one, Incoming)
        ]

    @contextlib.contextmanager
    def rows(self) -> Iterator[tuple[Projections, Tables]]:
        """Give the rows that the log gives."""
        anew = Projections(SqliteBackend(Path(":memory:")))
        with contextlib.closing(anew):
            while anew.advance(self._store):
                pass
            with anew.reading() as tables:
                yield anew, tables

    def sign(self, server_id: str) -> SignRow:
        """Return a sign as GET has it."""
        with self.rows() as (projections, tables):
            row = projections.signs.one(tables, server_id)
        assert row is not None
        return row

    def verdict(self, server_id: str) -> Verdict:
        """Return a verdict as GET has it now."""
        return self.sign(server_id).verdict_at(self.now)

    def _desire(self, node: Node) -> Desired:
        self.told.append(node.hostname)
        return Desired(node.node_id, self._store.head(), node.active, "PEM", (), ())

    def elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        """Answer as `Locations` does."""
        with self.rows() as (projections, tables):
            return projections.signs.elsewhere(tables, node_id, server_ids)

    def also_at(self, node_id: int, server_id: str) -> Sequence[str]:
        """Answer as `Locations` does."""
        events = (one for one in self.log() if isinstance(one, InstanceAppeared | InstanceLeft))
        last = {one.node_id: one for one in events if one.server_id == server_id}
        there = [one for one in last.values() if isinstance(one, InstanceAppeared) and one.node_id != node_id]
        return [one.hostname for one in reversed(there)]

    def unsettled(self, node_id: int) -> Sequence[str]:
        """Answer as `Locations` does."""
        with self.rows() as (projections, tables):
            return projections.signs.unsettled(tables, node_id)

    def _appended(self, events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        position = self._append_all(events)
        self.appends.append([event for _, _, event in events])
        return position
