"""What nodes may report, and what follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import SERVER, event
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from sealward.commands import inventory, node_state
from sealward.commands import node as nodes
from sealward.commands import sign as signs
from sealward.commands.context import RequestContext, by_node
from sealward.commands.errors import (
    FromTheFuture,
    NotRegistered,
    NotSigned,
    SweepMalformed,
    UnknownGeneration,
    WrongNode,
)
from sealward.commands.messages import RecordFailure, RecordInventory, RecordSweep
from sealward.commands.node_state import Node
from sealward.commands.sign_state import Sign, evolve
from sealward.events.is_valid import IsValid
from sealward.events.node import NodeSwept
from sealward.events.sign import SignCreated, SignValidated
from sealward.events.signing import envelope as envelopes
from sealward.protocol import codec, reports

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
NODE = Node(2, "kvm2", "PEM")


def sign(is_valid: IsValid) -> Sign:
    """Return a sign whose verdict of noon is that."""
    ordered = evolve(None, event(SignCreated))
    verdict = event(
        SignValidated,
        is_valid=is_valid,
        reasons=() if is_valid is IsValid.TRUE else ("measurement-differs",),
        findings=(),
        checked_at=NOW,
        fresh_until=NOW + timedelta(minutes=15),
    )
    known = evolve(ordered, verdict)
    assert known is not None
    return known


def failure(
    known: Sign | None, second: int = 1, task_id: str | None = None, **what_matters: object
) -> list[Any]:
    """Return what follows from a failure of that second."""
    node_id = int(str(what_matters.pop("node_id", 2)))
    fields: dict[str, Any] = {
        "hostname": "kvm2",
        "server_id": SERVER,
        "sign_id": 115,
        "reason": "domain-not-found",
        "failed_at": NOW + timedelta(seconds=second),
        "cause": "domain-changed",
    }
    command = RecordFailure(
        context=by_node("kvm2", task_id),
        server_id=SERVER,
        node_id=node_id,
        report=reports.Failure(**fields | what_matters),
    )
    return list(signs.record_failure(known, command, now=NOW))


def sweep(node: Node | None = NODE, task_id: str | None = None, **what_matters: object) -> list[Any]:
    """Return what follows from a sweep."""
    fields: dict[str, Any] = {
        "hostname": "kvm2",
        "cause": "sweep",
        "started_at": NOW,
        "vouched": "1-3",
        "withheld": (reports.Withheld(reason="domain-not-found", sign_ids="4"),),
        "counts": {"true": 3},
        "digest": "ab" * 32,
    }
    report = reports.Sweep(**fields | what_matters)
    command = RecordSweep(context=by_node("kvm2", task_id), hostname="kvm2", report=report)
    return list(nodes.record_sweep(node, command, now=NOW, fresh_until=NOW + timedelta(minutes=15)))


def test_a_failure_makes_a_true_unknown() -> None:
    """With its reason, dated when nothing could be said."""
    (validated,) = failure(sign(IsValid.TRUE))

    assert (validated.is_valid, validated.reasons) == (IsValid.UNKNOWN, ("domain-not-found",))
    assert validated.checked_at == NOW + timedelta(seconds=1)


def test_a_failure_leaves_a_false_alone() -> None:
    """No event when nobody asked; a task gets the false that stands."""
    (asked,) = failure(sign(IsValid.FALSE), task_id="t-9")

    assert failure(sign(IsValid.FALSE)) == []
    assert (asked.is_valid, asked.task_id, asked.checked_at) == (IsValid.FALSE, "t-9", NOW)


@pytest.mark.parametrize(
    ("known", "changes", "refusal"),
    [
        (None, {}, NotSigned),
        (sign(IsValid.TRUE), {"node_id": 3}, WrongNode),
        (sign(IsValid.TRUE), {"failed_at": NOW + timedelta(hours=1)}, FromTheFuture),
    ],
)
def test_a_failure_that_may_not_be_reported(
    known: Sign | None, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    """Of no sign, of another node's server, of a time to come."""
    with pytest.raises(refusal):
        failure(known, **changes)


def test_a_sweep_is_one_event_for_all_servers() -> None:
    """With whom it vouches for and until when."""
    (swept,) = sweep(task_id="t-1")

    assert isinstance(swept, NodeSwept)
    assert (swept.vouched, swept.task_id) == ("1-3", "t-1")
    assert swept.fresh_until == NOW + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("node", "changes", "refusal"),
    [
        (None, {}, NotRegistered),
        (NODE, {"started_at": NOW + timedelta(hours=1)}, FromTheFuture),
        (NODE, {"vouched": "3-1"}, SweepMalformed),
        (NODE, {"withheld": (reports.Withheld(reason="x", sign_ids="one"),)}, SweepMalformed),
    ],
)
def test_a_sweep_that_may_not_be_reported(
    node: Node | None, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    """By a stranger, of a time to come, of signs that cannot be read."""
    with pytest.raises(refusal):
        sweep(node, **changes)


def test_a_report_survives_the_wire_and_bears_its_signature() -> None:
    """parse(seal(x)) is x, verified by the node's key."""
    report = reports.Sweep(
        hostname="kvm2",
        cause="sweep",
        started_at=NOW,
        vouched="1-3",
        withheld=(reports.Withheld("domain-not-found", "4"),),
        counts={"true": 3},
        digest="ab",
    )
    envelope = envelopes.parse(codec.seal(report, KEY))

    assert envelopes.verify(envelope, [KEY.public_key()])
    assert codec.parse(envelope) == report


@given(st.one_of(st.binary(max_size=100), st.just(b'{"kind":"heartbeat","hostname":"a","more":1}')))
def test_what_is_no_report_is_refused(payload: bytes) -> None:
    """Garbage, and fields that nobody knows."""
    with pytest.raises(codec.ReportMalformed):
        codec.parse(envelopes.Envelope(payload, codec.PAYLOAD_TYPE))


def test_a_sweep_that_comes_again_is_recorded_once() -> None:
    """As one that is older than the last, unless it answers a task that waits."""
    first = sweep(started_at=NOW)
    node = node_state.evolve(NODE, first[0])

    assert sweep(node, started_at=NOW) == []
    assert sweep(node, started_at=NOW - timedelta(seconds=1)) == []
    assert len(sweep(node, started_at=NOW + timedelta(seconds=1))) == 1
    (answer,) = sweep(node, started_at=NOW - timedelta(seconds=1), task_id="t-1")
    assert sweep(node_state.evolve(node, answer), started_at=NOW - timedelta(seconds=1), task_id="t-1") == []


def test_an_inventory_older_than_the_sweep_before_the_last_comes_too_late() -> None:
    """The node has said since what it has; what was taken after that is believed."""
    node: Node | None = NODE
    for second in (1, 2):
        node = node_state.evolve(node, sweep(node, started_at=NOW + timedelta(seconds=second))[0])

    def taken(second: float) -> RecordInventory:
        moment = NOW + timedelta(seconds=second)
        return RecordInventory(
            context=RequestContext(actor="node:kvm2"),
            hostname="kvm2",
            report=reports.Inventory(hostname="kvm2", instances=((SERVER, "i"),), taken_at=moment),
        )

    assert inventory.record_inventory(node, taken(0.5), now=NOW) == []
    assert len(inventory.record_inventory(node, taken(1.5), now=NOW)) == 1


def test_a_failure_answers_a_task_once() -> None:
    """Delivered again it adds nothing to the log; neither does trying an order again in vain."""
    known = sign(IsValid.FALSE)
    for cause in ("requested", "sealed"):
        (answer,) = failure(known, task_id=cause, cause=cause)
        known = played(known, answer)

        assert failure(known, second=2, task_id=cause, cause=cause) == []


def test_a_failure_of_a_sign_that_was_revoked_says_nothing_about_the_next() -> None:
    """A server that is signed anew has another sign."""
    with pytest.raises(UnknownGeneration):
        failure(sign(IsValid.TRUE), sign_id=114)


def test_a_failure_to_seal_that_comes_after_the_seal_says_nothing() -> None:
    """The server was measured since; a sweep will say whether it still can be."""
    known = structs.replace(sign(IsValid.TRUE), sealed=1)

    assert failure(known, task_id="t-0", cause="sealed") == []
    assert len(failure(known, task_id="t-0", cause="requested")) == 1


def played(known: Sign, fact: SignValidated) -> Sign:
    """Return the sign after that fact."""
    after = evolve(known, fact)
    assert after is not None
    return after
