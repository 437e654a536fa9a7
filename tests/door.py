"""The door for nodes, on a store and with a bus that nobody reads, to be asked without either process."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.handler import Handler
from sealward.commands.node import Node
from sealward.control.database import SqliteControl
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.events.base import Event
from sealward.events.bus import Bus, Delivered, Poison
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.store import EventStore
from sealward.events.verdict import Verdict
from sealward.intake.following import Where
from sealward.intake.intake import Intake
from sealward.intake.senders import Senders
from sealward.projections.database import Projections
from sealward.projections.signs import SignRow
from sealward.projections.sqlite import SqliteBackend
from sealward.projections.tables import Tables
from sealward.protocol import reports

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SERVERS = tuple(str(uuid.UUID(int=number + 1)) for number in range(3))


class InMemory(SqliteControl):
    """The control plane's own tables, without a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._create()


class Door:
    """An intake on a store, with a bus that nobody reads; it notes how often was appended.

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
        self.signs: dict[str, Callable[[], reports.Assignment]] = {}
        self._store = store
        self._append_all = store.append_all
        store.append_all = self._appended  # type: ignore[method-assign]  # to count
        self.sent: list[tuple[str, bytes]] = []
        nonces = itertools.count()
        bus = Bus("memory://", uuid.uuid4().hex)
        bus.send = lambda queue, body: self.sent.append((queue, body))  # type: ignore[method-assign]  # to look at
        self._intake = Intake(
            self.handler,
            self.heard.extend,
            bus,
            self._desire,
            lambda: self.now,
            where=Where(self._elsewhere, self._also_at, self._unsettled),
            nonce=lambda: f"nonce-{next(nonces)}",
            sign_of=lambda server_id: self.signs[server_id]() if server_id in self.signs else None,
            senders=Senders(own),
            turns=LastTurns(self.control),
            unproven=self.unproven,
            only_invited=only_invited,
        )

    def take(self, *bodies: bytes) -> list[str | None]:
        """Have a batch taken; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self.answers(*bodies)]

    def answers(self, *bodies: bytes) -> Sequence[Poison | None]:
        """Have a batch taken; what was taken before comes as what the broker delivers again."""
        batch = []
        for one in bodies:
            batch.append(Delivered(one, {}, redelivered=one in self._taken))
            self._taken.add(one)
        return self._intake.take(batch)

    def deliver(self, *messages: Delivered) -> list[str | None]:
        """Have messages taken as they are; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self._intake.take(messages)]

    def counted(self) -> dict[tuple[str, str], int]:
        """Return how many messages were dropped, by the broker's user and the reason."""
        return {(one.sender, one.reason): one.messages for one in self.unproven.all()}

    def log(self) -> list[Event]:
        """Return the whole log."""
        return [one.event for one in self._store.follow(0)]

    def inquiries(self, hostname: str) -> list[reports.Inquiry]:
        """Return what a node was asked as the home of servers, and forget it."""
        asked = [
            msgspec.json.decode(body, type=reports.Inquiry)
            for queue, body in self.sent
            if queue == f"node.{hostname}" and b'"kind":"inquiry"' in body
        ]
        self.sent[:] = [one for one in self.sent if b'"kind":"inquiry"' not in one[1]]
        return asked

    def given(self) -> list[tuple[str, str, bool]]:
        """Return which start gates were told of which server, and whether they were given its reference."""
        read = [(queue, msgspec.json.decode(body)) for queue, body in self.sent]
        return [
            (queue.removeprefix("node."), one["server_id"], one["assignment"] is not None)
            for queue, one in read
            if one["kind"] == "incoming"
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

    def _desire(self, node: Node) -> reports.Desired:
        self.told.append(node.hostname)
        return reports.Desired(node.node_id, self._store.head(), node.active, "PEM", (), ())

    def _elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        with self.rows() as (projections, tables):
            return projections.signs.elsewhere(tables, node_id, server_ids)

    def _also_at(self, node_id: int, server_id: str) -> Sequence[str]:
        events = (one for one in self.log() if isinstance(one, InstanceAppeared | InstanceLeft))
        last = {one.node_id: one for one in events if one.server_id == server_id}
        there = [one for one in last.values() if isinstance(one, InstanceAppeared) and one.node_id != node_id]
        return [one.hostname for one in reversed(there)]

    def _unsettled(self, node_id: int) -> Sequence[str]:
        with self.rows() as (projections, tables):
            return projections.signs.unsettled(tables, node_id)

    def _appended(self, events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        position = self._append_all(events)
        self.appends.append([event for _, _, event in events])
        return position
