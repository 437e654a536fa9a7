"""The events of a node's stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sealward.events.base import Event, Moment
from sealward.events.comparison.measurement import Finding  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.late import late
from sealward.events.policy import Policy  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.values import (  # noqa: TC001 - rules and wire form are read off the annotations
    Code,
    Count,
    Digest,
    FileFact,
    Hostname,
    Id,
    InstanceName,
    Line,
    OrNever,
    Path,
    PublicKey,
    Ranges,
    ServerId,
    Word,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(Event):
    """A fact about one node."""

    node_id: Id
    hostname: Hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRegistered(NodeEvent):
    """An agent made itself known, or an administrator let it in: this key (PEM) must sign its reports."""

    topic: ClassVar[str] = "node.registered"

    public_key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInvited(NodeEvent):
    """An administrator has invited a host: it may register until `expires_at`, once.

    Its registration must be signed by the key of the `invitation` (PEM), too; `keyid` names that key. It gets
    the `node_id` when it registers.
    """

    topic: ClassVar[str] = "node.invited"

    invitation: PublicKey
    keyid: Digest
    expires_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUninvited(NodeEvent):
    """An administrator has revoked an invitation that was not used; `keyid` names its key."""

    topic: ClassVar[str] = "node.uninvited"

    keyid: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKeyReplaced(NodeEvent):
    """An administrator named another key (PEM): from now on the node's reports must be signed by it.

    `keyid` is the keyid of the new key, `replaced` the keyid of the key before. A keyid is the SHA-256 of a
    key in DER form; the signatures of an envelope name their keys by keyids, too.
    """

    topic: ClassVar[str] = "node.key-replaced"

    public_key: PublicKey
    keyid: Digest
    replaced: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeActivated(NodeEvent):
    """Validation was switched on."""

    topic: ClassVar[str] = "node.activated"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDeactivated(NodeEvent):
    """Validation was switched off."""

    topic: ClassVar[str] = "node.deactivated"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePolicySet(NodeEvent):
    """An administrator said what the node does about servers that are not as they were signed."""

    topic: ClassVar[str] = "node.policy-set"

    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """The signs that a sweep could not vouch for, by their ids, and why."""

    reason: Code
    sign_ids: Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSwept(NodeEvent):
    """One sweep of all signed servers of a node.

    `vouched` are the ids of the signs found equal, as ranges ("1-998,1000"). `counts` are the numbers of
    servers by verdict, and of unsigned servers. `digest` is SHA-256 over all results. Servers found different
    have events of their own.
    """

    topic: ClassVar[str] = "node.swept"

    cause: Code
    started_at: Moment
    fresh_until: OrNever
    vouched: Ranges
    withheld: tuple[Withheld, ...]
    counts: dict[Word, Count]
    digest: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLost(NodeEvent):
    """The node has been silent longer than its lease."""

    topic: ClassVar[str] = "node.lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReturned(NodeEvent):
    """The node is heard again."""

    topic: ClassVar[str] = "node.returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRemoved(NodeEvent):
    """An administrator removed the node, which had no signs: its reports are refused from now on.

    The inventory no longer has the node's servers. If the node is let in again, it has another `node_id`.
    """

    topic: ClassVar[str] = "node.removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAppeared(NodeEvent):
    """A server is on the node; when it was there before, it began or ceased to run.

    `running` is None when the node does not report it. A server that is paused for a migration does not run.
    `leaving` is True when libvirt says that the server is migrating to another node, or has migrated and left
    only its definition behind; otherwise it is None.
    """

    topic: ClassVar[str] = "instance.appeared"

    server_id: ServerId
    instance_name: InstanceName
    running: bool | None = late()
    leaving: bool | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLeft(NodeEvent):
    """A server is no longer on the node. `taken_at` is when the node found that, by its own clock."""

    topic: ClassVar[str] = "instance.left"

    server_id: ServerId
    instance_name: InstanceName
    taken_at: Moment | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFirmwareAccepted(NodeEvent):
    """The node's firmware files were accepted: those of its first report, or others by an administrator.

    `files` are roots of the content by path; `digest` is SHA-256 over all of them.
    """

    topic: ClassVar[str] = "node.firmware-accepted"

    digest: Word
    files: dict[Path, FileFact]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFirmwareChanged(NodeEvent):
    """The node's firmware files have changed. Without findings they are again the accepted files."""

    topic: ClassVar[str] = "node.firmware-changed"

    digest: Word
    files: dict[Path, FileFact]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSoftwareChanged(NodeEvent):
    """The node's agent is of another version of Sealward, profile or libvirt than before.

    `release` is the version of Sealward; `hypervisor` is null until the agent has reached libvirt.
    """

    topic: ClassVar[str] = "node.software-changed"

    release: Word
    profile: Word
    hypervisor: Line | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReportRefused(NodeEvent):
    """A report in the node's name was refused: `reason` is a stable code, `server_id` the report's server."""

    topic: ClassVar[str] = "node.report-refused"

    reason: Code
    server_id: ServerId | None
