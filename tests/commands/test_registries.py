"""Every command has a decider, and every event of a stream is folded or says that it changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sealward.commands import messages as ask
from sealward.commands import node_state, sign_state
from sealward.commands.context import SYSTEM
from sealward.commands.errors import NotRegistered
from sealward.commands.writer.deciders import DECIDERS, Surroundings, decide
from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events.node import NodeEvent
from sealward.events.sign import SignEvent
from sealward.events.wire.codec import EVENTS
from sealward.protocol.reports import Firmware

if TYPE_CHECKING:
    from sealward.events.base import Event
    from sealward.events.signing.envelope import Envelope

REMOVED = node_state.Node(1, "kvm1", "PEM", removed=True)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

BEGIN_OR_END: frozenset[type[Event]] = frozenset(
    (of_sign.SignCreated, of_sign.SignRevoked, of_node.NodeRegistered, of_node.NodeInvited)
)
"""Events that `evolve` itself handles: they begin or end a sign, or begin a node."""


def test_every_command_has_a_decider() -> None:
    """A command that is added without a decider fails here, not at the first request."""
    commands = {one for one in vars(ask).values() if isinstance(one, type) and issubclass(one, ask.Command)}
    groups = {base for one in commands for base in one.__mro__[1:]}
    assert set(DECIDERS) == commands - groups


@pytest.mark.parametrize("topic", sorted(EVENTS))
def test_every_event_is_folded_or_changes_nothing(topic: str) -> None:
    """An event type that is added without a fold fails here: its stream would forget it."""
    kind = EVENTS[topic]
    assert issubclass(kind, SignEvent | NodeEvent)
    states = sign_state if issubclass(kind, SignEvent) else node_state
    ways = [kind in states.FOLDS, kind in states.UNCHANGING, kind in BEGIN_OR_END]
    assert ways.count(True) == 1, f"{kind.__name__}: {ways}"


@pytest.mark.parametrize(
    "command",
    [
        ask.RecordFirmware(context=SYSTEM, hostname="kvm1", report=Firmware(hostname="kvm1", files={})),
        ask.AcceptFirmware(context=SYSTEM, hostname="kvm1", digest="ab"),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("node", [None, REMOVED], ids=("none", "removed"))
def test_firmware_of_no_node_is_refused(node: node_state.Node | None, command: ask.Command) -> None:
    """A host that never registered, or that was removed, has no firmware to record or accept."""
    around = Surroundings(NOW, timedelta(minutes=15), lambda _: 1, _no_envelope)
    with pytest.raises(NotRegistered):
        decide(node, command, around)


def _no_envelope(command: ask.RecordMeasurement) -> Envelope:
    raise AssertionError(command)
