"""The events of a sign's stream. Each server has a stream of its own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sealward.events.base import Event, Moment
from sealward.events.comparison.measurement import Finding  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.is_valid import IsValid  # noqa: TC001 - as above
from sealward.events.late import late
from sealward.events.policy import ServerPolicy  # noqa: TC001 - as above
from sealward.events.values import (  # noqa: TC001 - rules and wire form are read off the annotations
    Code,
    Generation,
    Hostname,
    Id,
    InstanceName,
    OrNever,
    Sections,
    ServerId,
    Word,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignEvent(Event):
    """A fact about one sign; `sign_id` and `node_id` are the integers that API clients know."""

    sign_id: Id
    server_id: ServerId
    node_id: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOrdered(SignEvent):
    """An order to seal: the node measures under `profile` and reports for `generation`."""

    hostname: Hostname
    instance_name: InstanceName
    profile: Word
    generation: Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class SignCreated(SignOrdered):
    """An administrator ordered a sign."""

    topic: ClassVar[str] = "sign.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpdated(SignOrdered):
    """An administrator ordered a re-sign; the reference in force stays in force until the next seal.

    With `in_doubt` the server is sealed only if all its differences are in doubt: a libvirt upgrade may have
    filled them in (`events.comparison.doubt`).
    """

    topic: ClassVar[str] = "sign.updated"

    in_doubt: bool | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignSealed(SignEvent):
    """The reference now in force: `digest` of its manifest, and the envelope signed by node and authority."""

    topic: ClassVar[str] = "sign.sealed"

    generation: Generation
    digest: Word
    envelope: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignValidationRequested(SignEvent):
    """An administrator asked for a fresh measurement now."""

    topic: ClassVar[str] = "sign.validation-requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignValidated(SignEvent):
    """A verdict, and the cause of the node's measurement.

    `cause` is sealed, passed-over, requested, domain-changed or changed-back when the node measured this
    server alone, and sweep, rescan, agent-started or node-activated when the node measured all its servers.
    `fingerprint` is the fingerprint of the measurement when the verdict is false or in doubt: it
    distinguishes two measurements whose findings read alike.
    """

    topic: ClassVar[str] = "sign.validated"

    generation: Generation
    is_valid: IsValid
    reasons: tuple[Code, ...]
    findings: tuple[Finding, ...]
    cause: Code
    checked_at: OrNever
    fresh_until: OrNever
    fingerprint: Word | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostBoundChanged(SignEvent):
    """Host-bound parts of the server are not as they were signed or last recorded. This is no violation.

    `host_bound` has the digests of the host-bound parts by form; under `started` it has the digest of the
    values that a start has completed the definition with. `findings` say how the parts differ from the signed
    parts.
    """

    topic: ClassVar[str] = "sign.host-bound-changed"

    generation: Generation
    host_bound: Sections
    findings: tuple[Finding, ...]
    checked_at: OrNever


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockJobsChanged(SignEvent):
    """Block jobs of a server have begun or ended: disks are copied for an image, or to another volume.

    `jobs` describes the block jobs that run now, as "vda: copy to /path". A block job is no violation.
    """

    topic: ClassVar[str] = "sign.block-jobs-changed"

    generation: Generation
    jobs: tuple[str, ...]
    checked_at: OrNever


@dataclass(frozen=True, slots=True, kw_only=True)
class SignPolicySet(SignEvent):
    """An administrator set the server's exceptions from its node's policy; all None means no exceptions."""

    topic: ClassVar[str] = "sign.policy-set"

    policy: ServerPolicy


class Grounds(StrEnum):
    """The grounds on which a sign moved to another node."""

    ANNOUNCED = "announced"
    """The home had announced the migration to that node."""
    LEFT = "left"
    """The home no longer has the server, or libvirt on the home says that the server has migrated."""
    ORDERED = "ordered"
    """An administrator ordered the move."""
    POLICY = "policy"
    """The home is lost, and its policy lets the signs of a lost node follow their servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignPlaced(SignEvent):
    """A fact about the node that a sign is on; `hostname` is that of `node_id`."""

    hostname: Hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class SignMoved(SignPlaced):
    """The sign moved to another node, `node_id`; generation and reference stay in force.

    `grounds` says why: see Grounds. It is None in events from before the field existed.
    """

    topic: ClassVar[str] = "sign.moved"

    instance_name: InstanceName
    from_node_id: Id
    from_hostname: Hostname
    generation: Generation
    grounds: Grounds | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignLeaving(SignPlaced):
    """The home of a server, `node_id`, said that libvirt migrates the server out.

    From then on only the node `to_node_id` may have the server's reference and get its sign. `announced_at`
    is when the home asked its libvirt, by the home's clock. `contested` says that a second node,
    `to_node_id`, has asked for the server during an announced migration: from then on neither of the two
    nodes counts as the destination.
    """

    topic: ClassVar[str] = "sign.leaving"

    to_node_id: Id
    to_hostname: Hostname
    announced_at: Moment
    contested: bool | None = late()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignStayed(SignPlaced):
    """The migration that was announced has ended without the server leaving its home."""

    topic: ClassVar[str] = "sign.stayed"

    to_node_id: Id
    to_hostname: Hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class SignClaimed(SignPlaced):
    """The node `by_node_id` says that it runs the server, which its home, `node_id`, has not let go.

    `denied` says whether the home has contradicted this: it runs the server and no migration is under way.
    """

    topic: ClassVar[str] = "sign.claimed"

    by_node_id: Id
    by_hostname: Hostname
    denied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SignClaimSettled(SignPlaced):
    """The claim of the node `by_node_id` has ended: it runs the server no longer, or is no node any more."""

    topic: ClassVar[str] = "sign.claim-settled"

    by_node_id: Id
    by_hostname: Hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRevoked(SignEvent):
    """The server was taken off control."""

    topic: ClassVar[str] = "sign.revoked"
