"""The door for nodes, on a store and with a bus that nobody reads, to be asked without either process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.handler import Handler
from sealward.commands.node import Node
from sealward.events.base import Event
from sealward.events.bus import Bus, Delivered, Poison
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.sign import SignEvent
from sealward.events.store import EventStore
from sealward.intake.intake import Intake
from sealward.protocol import reports

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SERVERS = tuple(str(uuid.UUID(int=number + 1)) for number in range(3))


class Door:
    """An intake on a store, with a bus that nobody reads; it notes how often was appended."""

    def __init__(self, store: EventStore) -> None:
        self.now = NOW
        self.handler = Handler(store, AUTHORITY, clock=lambda: self.now, fresh_for=timedelta(minutes=15))
        self.heard: list[reports.AnyReport] = []
        self.told: list[str] = []
        self.appends: list[list[Event]] = []
        self.signs: dict[str, Callable[[], reports.Assignment]] = {}
        self._store = store
        self._append_all = store.append_all
        store.append_all = self._appended  # type: ignore[method-assign]  # to count
        self.sent: list[tuple[str, bytes]] = []
        bus = Bus("memory://", uuid.uuid4().hex)
        bus.send = lambda queue, body: self.sent.append((queue, body))  # type: ignore[method-assign]  # to look at
        self._intake = Intake(
            self.handler,
            self.heard.extend,
            bus,
            self._desire,
            lambda: self.now,
            elsewhere=self._elsewhere,
            also_at=self._also_at,
            sign_of=lambda server_id: self.signs[server_id]() if server_id in self.signs else None,
        )

    def take(self, *bodies: bytes) -> list[str | None]:
        """Have a batch taken; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self.answers(*bodies)]

    def answers(self, *bodies: bytes) -> Sequence[Poison | None]:
        """Have a batch taken."""
        return self._intake.take([Delivered(one, {}) for one in bodies])

    def log(self) -> list[Event]:
        """Return the whole log."""
        return [one.event for one in self._store.follow(0)]

    def _desire(self, node: Node) -> reports.Desired:
        self.told.append(node.hostname)
        return reports.Desired(node.node_id, self._store.head(), node.active, "PEM", (), ())

    def _elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        signed = {one.server_id: one.node_id for one in self.log() if isinstance(one, SignEvent)}
        return [one for one in server_ids if signed.get(one, node_id) != node_id]

    def _also_at(self, node_id: int, server_id: str) -> str | None:
        events = (one for one in self.log() if isinstance(one, InstanceAppeared | InstanceLeft))
        last = {one.node_id: one for one in events if one.server_id == server_id}
        there = [one for one in last.values() if isinstance(one, InstanceAppeared) and one.node_id != node_id]
        return there[-1].hostname if there else None

    def _appended(self, events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        position = self._append_all(events)
        self.appends.append([event for _, _, event in events])
        return position
