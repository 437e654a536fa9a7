"""The one writer: load a stream, decide, append; again when another writer was first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from sealward.commands import messages as ask
from sealward.commands import node as nodes
from sealward.commands import sign as signs
from sealward.commands.errors import Rejected
from sealward.events import envelope as envelopes
from sealward.events.base import node_stream, sign_stream
from sealward.events.store import Snapshot, VersionConflict

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.base import Event
    from sealward.events.store import EventStore

ATTEMPTS = 20
SNAPSHOT_EVERY = 50
"""Events that a load may have to fold before the state is kept."""
SIGN_SHAPE = "sign/1"
NODE_SHAPE = "node/2"
State = TypeVar("State")


class TooMuchContention(Rejected):
    """Other writers were first too often: try again in a moment."""

    code = "store.contention"


@dataclass(frozen=True, slots=True)
class Stream(Generic[State]):
    """A stream with the function that folds its events into a state."""

    id: UUID
    evolve: Callable[[State | None, Event], State | None]
    state: type[State]
    shape: str
    """Names the shape of `state` in snapshots; a new name makes old snapshots unread."""


class Handler:
    """Handles commands; safe for many threads and beside other processes."""

    def __init__(
        self,
        store: EventStore,
        authority: Ed25519PrivateKey | None,
        *,
        clock: Callable[[], datetime],
        fresh_for: timedelta,
    ) -> None:
        self._store = store
        self._authority = authority
        self._clock = clock
        self._fresh_for = fresh_for

    def handle(self, command: ask.Command) -> int:
        """Carry out a command and return the position up to which it can be read back.

        Raises Rejected: then nothing was written.
        """
        match command:
            case ask.SignCommand():
                stream = Stream(sign_stream(command.server_id), signs.evolve, signs.Sign, SIGN_SHAPE)
                return self._append(stream, lambda sign: _from(command, self._sign(sign, command)))
            case ask.RegisterNode() | ask.NodeCommand():
                on_node = Stream(node_stream(command.hostname), nodes.evolve, nodes.Node, NODE_SHAPE)
                return self._append(on_node, lambda node: _from(command, self._node(node, command)))
        raise TypeError(command)

    def _append(self, stream: Stream[State], decide: Callable[[State | None], list[Event]]) -> int:
        for _ in range(ATTEMPTS):
            loaded = self._load(stream)
            state, version = loaded
            events = decide(state)
            if not events:
                return self._store.head()
            try:
                return self._store.append(stream.id, version, events)
            except VersionConflict:
                continue
        raise TooMuchContention

    def node(self, hostname: str) -> nodes.Node | None:
        """Return a node as the log has it now."""
        stream = Stream(node_stream(hostname), nodes.evolve, nodes.Node, NODE_SHAPE)
        return self._load(stream)[0]

    def _load(self, stream: Stream[State]) -> tuple[State | None, int]:
        kept = self._snapshot(stream)
        state, version = kept
        events = self._store.read(stream.id, after=version)
        for event in events:
            state = stream.evolve(state, event)
        if len(events) >= SNAPSHOT_EVERY and state is not None:
            made = Snapshot(stream.id, version + len(events), stream.shape, msgspec.json.encode(state))
            self._store.keep_snapshot(made)
        return state, version + len(events)

    def _snapshot(self, stream: Stream[State]) -> tuple[State | None, int]:
        kept = self._store.snapshot(stream.id)
        if kept is None or kept.topic != stream.shape:
            return None, 0
        return msgspec.json.decode(kept.state, type=stream.state), kept.version

    def _sign(self, sign: signs.Sign | None, command: ask.SignCommand) -> list[Event]:
        now = self._clock()
        match command:
            case ask.CreateSign():
                sign_id = self._store.next_id("sign") if sign is None else 0
                return signs.create_sign(sign, command, sign_id=sign_id, now=now)
            case ask.UpdateSign():
                return signs.update_sign(sign, command, now=now)
            case ask.RequestValidation():
                return signs.request_validation(sign, command, now=now)
            case ask.RevokeSign():
                return signs.revoke_sign(sign, command, now=now)
            case ask.RecordFailure():
                return signs.record_failure(sign, command, now=now)
            case ask.RecordMeasurement():
                if self._authority is None:
                    raise TypeError("a process without the authority's key takes no measurements")
                return signs.record_measurement(
                    sign,
                    command,
                    countersigned=envelopes.sign(command.envelope, self._authority),
                    now=now,
                    fresh_until=command.statement.measured_at + self._fresh_for,
                )
        raise TypeError(command)

    def _node(  # noqa: PLR0911 - one return a command
        self, node: nodes.Node | None, command: ask.RegisterNode | ask.NodeCommand
    ) -> list[Event]:
        now = self._clock()
        match command:
            case ask.RegisterNode():
                node_id = self._store.next_id("node") if node is None else 0
                return nodes.register_node(node, command, node_id=node_id, now=now)
            case ask.ActivateNode():
                return nodes.activate_node(node, command, now=now)
            case ask.DeactivateNode():
                return nodes.deactivate_node(node, command, now=now)
            case ask.LoseNode():
                return nodes.lose_node(node, command, now=now)
            case ask.RecordInventory():
                return nodes.record_inventory(node, command, now=now)
            case ask.RefuseReport():
                return nodes.refuse_report(node, command, now=now)
            case ask.RecordSweep():
                fresh_until = command.started_at + self._fresh_for
                return nodes.record_sweep(node, command, now=now, fresh_until=fresh_until)
        raise TypeError(command)


def _from(command: ask.Command, events: list[Event]) -> list[Event]:
    """Let the facts say where the command came from; deciders need not know."""
    if command.origin is None and command.global_request_id is None:
        return events
    return [
        replace(one, origin=command.origin, global_request_id=command.global_request_id) for one in events
    ]
