"""Events with every field filled in: a test states only what matters to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sealward.events import enforcement, node, sign
from sealward.events.base import Event, Recorded, Stored
from sealward.events.comparison.measurement import Finding
from sealward.events.is_valid import IsValid
from sealward.events.policy import OnDoubt, OnViolation, Policy, ServerPolicy, Unsigned
from sealward.events.wire import codec

NOON = datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 12, 15, tzinfo=UTC)
SERVER = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"
META: dict[str, Any] = {"timestamp": NOON, "actor": "user:admin", "task_id": "t-1", "request_id": "req-1"}
SIGN: dict[str, Any] = META | {"sign_id": 115, "server_id": SERVER, "node_id": 2}
ORDER: dict[str, Any] = SIGN | {
    "hostname": "kvm2",
    "instance_name": "instance-00000068",
    "profile": "libvirt-domain/1",
    "generation": 1,
}
NODE: dict[str, Any] = META | {"node_id": 2, "hostname": "kvm2"}
INSTANCE: dict[str, Any] = NODE | {"server_id": SERVER, "instance_name": "instance-00000068"}
START: dict[str, Any] = INSTANCE | {
    "objection_id": "ab" * 16,
    "reason": "measurement-differs",
    "findings": (Finding("boot", "/domain/os/initrd", "/a", None),),
    "decided_at": NOON,
}

ONE_OF_EACH: tuple[Event, ...] = (
    sign.SignCreated(**ORDER),
    sign.SignUpdated(**ORDER | {"generation": 2}),
    sign.SignSealed(**SIGN, generation=1, digest="ab" * 32, envelope={"payload": "e30=", "signatures": []}),
    sign.SignValidationRequested(**SIGN),
    sign.SignValidated(
        **SIGN,
        generation=1,
        is_valid=IsValid.FALSE,
        reasons=("measurement-differs",),
        findings=(Finding("boot", "/domain/os/initrd", "/a", None),),
        cause="domain-changed",
        checked_at=NOON,
        fresh_until=LATER,
    ),
    sign.HostBoundChanged(
        **SIGN,
        generation=1,
        host_bound={"config": "ef" * 32},
        findings=(Finding("graphics", "/domain/devices/graphics/@listen", "10.0.0.1", "10.0.0.2"),),
        checked_at=NOON,
    ),
    sign.BlockJobsChanged(
        **SIGN,
        generation=1,
        jobs=("vda: copy to /var/lib/nova/instances/snapshots/1",),
        checked_at=NOON,
    ),
    sign.SignPolicySet(**SIGN, policy=ServerPolicy(on_violation=OnViolation.STOP, grace=30.0)),
    sign.SignMoved(
        **SIGN | {"task_id": None, "request_id": None, "actor": "node:kvm2"},
        hostname="kvm2",
        instance_name="instance-00000068",
        from_node_id=1,
        from_hostname="kvm1",
        generation=1,
    ),
    sign.SignLeaving(
        **SIGN | {"task_id": None, "request_id": None, "actor": "node:kvm2"},
        hostname="kvm2",
        to_node_id=3,
        to_hostname="kvm3",
        announced_at=NOON,
    ),
    sign.SignStayed(
        **SIGN | {"task_id": None, "request_id": None, "actor": "node:kvm2"},
        hostname="kvm2",
        to_node_id=3,
        to_hostname="kvm3",
    ),
    sign.SignClaimed(
        **SIGN | {"task_id": None, "request_id": None, "actor": "node:kvm3"},
        hostname="kvm2",
        by_node_id=3,
        by_hostname="kvm3",
        denied=False,
    ),
    sign.SignClaimSettled(
        **SIGN | {"task_id": None, "request_id": None, "actor": "node:kvm3"},
        hostname="kvm2",
        by_node_id=3,
        by_hostname="kvm3",
    ),
    sign.SignRevoked(**SIGN),
    node.NodeInvited(**NODE, invitation="PEM", keyid="ab" * 32, expires_at=LATER),
    node.NodeUninvited(**NODE, keyid="ab" * 32),
    node.NodeRegistered(**NODE, public_key="PEM"),
    node.NodeKeyReplaced(**NODE, public_key="PEM", keyid="ab" * 32, replaced="cd" * 32),
    node.NodeActivated(**NODE),
    node.NodeDeactivated(**NODE),
    node.NodePolicySet(**NODE, policy=Policy(on_start=OnDoubt.REFUSE, unsigned=Unsigned.REFUSE)),
    node.NodeSwept(
        **NODE,
        cause="sweep",
        started_at=NOON,
        fresh_until=LATER,
        vouched="1-998,1000",
        withheld=(node.Withheld(reason="domain-not-found", sign_ids="999"),),
        counts={"true": 999, "false": 0, "unknown": 1, "unsigned": 3},
        digest="cd" * 32,
    ),
    node.NodeLost(**NODE | {"task_id": None, "request_id": None, "actor": "system"}),
    node.NodeReturned(**NODE),
    node.NodeRemoved(**NODE),
    node.InstanceAppeared(**INSTANCE),
    node.InstanceLeft(**INSTANCE),
    node.NodeFirmwareAccepted(**NODE, digest="ab" * 32, files={"/usr/share/OVMF/OVMF_CODE_4M.fd": "root"}),
    node.NodeFirmwareChanged(
        **NODE,
        digest="cd" * 32,
        files={"/usr/share/OVMF/OVMF_CODE_4M.fd": "other"},
        findings=(Finding("firmware", "/usr/share/OVMF/OVMF_CODE_4M.fd", "root", "other"),),
    ),
    node.NodeReportRefused(**NODE, reason="envelope.not-verified", server_id=None),
    node.NodeSoftwareChanged(**NODE, release="0.2.0", profile="libvirt-domain/3", hypervisor="libvirt 9.0.0"),
    enforcement.EnforcementChanged(**NODE, enforcement=enforcement.Gate.DEGRADED, reason="hook-missing"),
    enforcement.StartRefused(**START),
    enforcement.StartTolerated(**START),
    enforcement.ReactionTaken(
        **NODE,
        reaction_id="cd" * 16,
        server_id=SERVER,
        generation=1,
        action=enforcement.Action.SHUTDOWN,
        outcome=enforcement.Outcome.DONE,
        reason=None,
        policy_position=17,
        taken_at=NOON,
    ),
)


def event(kind: type[Event], **what_matters: object) -> Event:
    """Return an event of that kind, changed in what matters to the test."""
    (made,) = (one for one in ONE_OF_EACH if type(one) is kind)
    return replace(made, **what_matters)  # type: ignore[arg-type]  # replace() checks the names at run time


def recorded(events: Iterable[Event], after: int = 0) -> list[Recorded]:
    """Return the events as a log has them that begins after that position."""
    return [
        Recorded(position, uuid.UUID(int=0), position, one) for position, one in enumerate(events, after + 1)
    ]


def stored(events: Iterable[Event], after: int = 0) -> list[Stored]:
    """Return the same as entries of the log."""
    return [
        Stored(one.position, one.stream, one.version, one.event.topic, codec.encode(one.event))
        for one in recorded(events, after)
    ]
