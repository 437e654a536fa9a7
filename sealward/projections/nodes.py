"""The registered nodes, as GET /v1/node lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from sealward.events import node as of_node
from sealward.events import typed
from sealward.events.comparison.measurement import Finding  # noqa: TC001 - rows are read by the annotations
from sealward.events.enforcement import EnforcementChanged, Gate
from sealward.events.policy import DEFAULT, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Row, Tables


@dataclass(frozen=True, slots=True)
class FirmwareRow:
    """The last report of firmware files: a digest of all files, and differences from the accepted files."""

    digest: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class SoftwareRow:
    """The version of a node's agent, the profile by which it measures, and its libvirt."""

    version: str
    profile: str
    hypervisor: str | None


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node. `active` is None until validation is switched on or off; `counts` are from the last sweep."""

    node_id: int
    hostname: str
    active: bool | None
    lost: bool
    registered_at: datetime
    swept_at: datetime | None
    counts: dict[str, int]
    sweep_seconds: float | None
    """How long the last sweep took, in seconds."""
    firmware: FirmwareRow | None
    policy: Policy
    policy_position: int | None
    """The position of the event that set the policy; None for the default policy."""
    enforcement: Gate
    enforcement_reason: str | None
    public_key: str
    software: SoftwareRow | None = None
    """None for an agent of a version that does not report its software."""
    expected: bool = False
    """Whether an administrator has let the node in and its agent has not been heard yet."""


class Nodes:
    """The projection of nodes: one row for each registered node."""

    name = "nodes"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("nodes.drop")
        tables.run("nodes.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("nodes.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        for recorded in batch:
            if isinstance(recorded.event, of_node.NodeEvent):
                _fold(recorded.event, recorded.position, tables)

    def one(self, tables: Tables, node_id: int) -> NodeRow | None:
        """Return the node with that id."""
        found = tables.one("nodes.one", {"node_id": node_id})
        return _row(found) if found else None

    def of(self, tables: Tables, hostname: str) -> NodeRow | None:
        """Return the node with that hostname."""
        found = tables.one("nodes.of", {"hostname": hostname})
        return _row(found) if found else None

    def all(self, tables: Tables) -> list[NodeRow]:
        """Return the nodes by ascending id."""
        return [_row(found) for found in tables.all("nodes.all")]


def _fold(event: of_node.NodeEvent, position: int, tables: Tables) -> None:
    values: dict[str, object] = {"node_id": event.node_id, "at": event.timestamp.isoformat()}
    match event:
        case of_node.NodeRegistered() | of_node.NodeKeyReplaced() | of_node.NodeRemoved():
            _belong(event, values, tables)
        case of_node.NodeActivated() | of_node.NodeDeactivated():
            active = isinstance(event, of_node.NodeActivated)
            tables.run("nodes.set-active", values | {"active": active})
        case of_node.NodeLost() | of_node.NodeReturned():
            tables.run("nodes.set-lost", values | {"lost": isinstance(event, of_node.NodeLost)})
        case of_node.NodeFirmwareAccepted():
            tables.run("nodes.set-firmware", values | {"firmware": _firmware(event.digest)})
        case of_node.NodeFirmwareChanged():
            firmware = _firmware(event.digest, event.findings)
            tables.run("nodes.set-firmware", values | {"firmware": firmware})
        case of_node.NodeSoftwareChanged():
            found = SoftwareRow(event.release, event.profile, event.hypervisor)
            tables.run("nodes.set-software", values | {"software": msgspec.json.encode(found).decode()})
        case EnforcementChanged():
            changes = {"enforcement": event.enforcement.value, "reason": event.reason}
            tables.run("nodes.set-enforcement", values | changes)
        case of_node.NodePolicySet():
            policy = msgspec.json.encode(event.policy).decode()
            tables.run("nodes.set-policy", values | {"policy": policy, "position": position})
        case of_node.NodeSwept():
            counts = msgspec.json.encode(event.counts, order="sorted").decode()
            took = (event.timestamp - event.started_at).total_seconds()
            tables.run("nodes.set-swept", values | {"counts": counts, "sweep_seconds": took})


def _belong(
    event: of_node.NodeRegistered | of_node.NodeKeyReplaced | of_node.NodeRemoved,
    values: dict[str, object],
    tables: Tables,
) -> None:
    match event:
        case of_node.NodeRegistered():
            names = {"hostname": event.hostname, "public_key": event.public_key}
            is_expected = not event.actor.startswith("node:")
            tables.run("nodes.add", values | names | {"expected": is_expected})
        case of_node.NodeKeyReplaced():
            tables.run("nodes.set-key", values | {"public_key": event.public_key})
        case of_node.NodeRemoved():
            tables.run("nodes.remove", values)


def _row(found: Row) -> NodeRow:
    return NodeRow(
        found["node_id"],
        found["hostname"],
        None if found["active"] is None else bool(found["active"]),
        bool(found["lost"]),
        datetime.fromisoformat(found["registered_at"]),
        None if found["swept_at"] is None else datetime.fromisoformat(found["swept_at"]),
        {} if found["counts"] is None else typed.decode(found["counts"], dict[str, int]),
        found["sweep_seconds"],
        None if found["firmware"] is None else typed.decode(found["firmware"], FirmwareRow),
        DEFAULT if found["policy"] is None else typed.decode(found["policy"], Policy),
        found["policy_position"],
        Gate(found["enforcement"] or Gate.ABSENT),
        found["enforcement_reason"],
        found["public_key"],
        None if found["software"] is None else typed.decode(found["software"], SoftwareRow),
        bool(found["expected"]),
    )


def _firmware(digest: str, findings: tuple[Finding, ...] = ()) -> str:
    return msgspec.json.encode(FirmwareRow(digest, findings)).decode()
