"""A sign as its stream goes on: ordered, sealed, reported on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import SERVER

from sealward.commands import sign as decider
from sealward.commands.context import RequestContext
from sealward.commands.messages import (
    CreateSign,
    RecordMeasurement,
)
from sealward.commands.sign_state import Sign, evolve
from sealward.events.base import Event
from sealward.events.comparison.measurement import Finding, Measurement
from sealward.events.comparison.remeasured import Remeasured
from sealward.events.is_valid import IsValid
from sealward.events.sign import (
    SignValidated,
)
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.protocol import reports

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
NODE = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
SIGNED = Measurement("libvirt-domain/1", {"boot": "aa"}, {}, "libvirt 9.0.0")
CHANGED = Measurement("libvirt-domain/1", {"boot": "bb"}, {}, "libvirt 9.0.0")
ASK: dict[str, Any] = {"context": RequestContext(actor="user:admin", task_id="t-1"), "server_id": SERVER}


def play(sign: Sign | None, events: list[Event]) -> Sign | None:
    """Return the sign after those events."""
    for event in events:
        sign = evolve(sign, event)
    return sign


def created() -> Sign:
    """Return a sign that was ordered and not sealed yet."""
    command = CreateSign(
        **ASK, node_id=2, hostname="kvm2", instance_name="instance-1", profile="libvirt-domain/1"
    )
    sign = play(None, decider.create_sign(None, command, sign_id=115, now=NOW))
    assert sign is not None
    return sign


def report(  # noqa: PLR0913 - each test changes one of them
    sign: Sign | None,
    found: Measurement = SIGNED,
    second: int = 1,
    *,
    generation: int = 1,
    sign_id: int = 115,
    node_id: int = 2,
    task_id: str | None = None,
    cause: str = "domain-changed",
    findings: tuple[Finding, ...] = (),
    remeasured: Remeasured | None = None,
) -> list[Event]:
    """Return what follows from a node's report of that second."""
    at = NOW + timedelta(seconds=second)
    if sign is not None and generation == sign.ordered > sign.sealed and task_id is None:
        task_id = sign.ordered_task
    statement = Statement(SERVER, sign_id, node_id, generation, at, found, b"", task_id, remeasured)
    envelope = envelopes.sign(statement.envelope(), NODE)
    command = RecordMeasurement(
        context=RequestContext(actor="node:kvm2", task_id=task_id),
        server_id=SERVER,
        report=reports.Measurement(
            hostname="kvm2",
            server_id=SERVER,
            envelope=envelope.to_json(),
            cause=cause,
            task_id=task_id,
            findings=findings,
        ),
        envelope=envelope,
        key=NODE.public_key(),
        statement=statement,
    )
    return decider.record_measurement(
        sign,
        command,
        countersign=lambda: envelopes.sign(envelope, AUTHORITY),
        now=at,
        fresh_until=at + timedelta(minutes=15),
    )


def sealed() -> Sign:
    """Return a sign in force."""
    sign = play(created(), report(created()))
    assert sign is not None
    return sign


def verdict_of(events: list[Event]) -> IsValid:
    """Return the verdict that follows."""
    (found,) = (one for one in events if isinstance(one, SignValidated))
    return found.is_valid
