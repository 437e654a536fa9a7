"""Commands: imperative requests that may be refused. What the door and the agents send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.commands.context import RequestContext
    from sealward.events.comparison.measurement import Finding
    from sealward.events.policy import Policy, ServerPolicy
    from sealward.events.sign import Grounds
    from sealward.events.signing.envelope import Envelope
    from sealward.events.signing.statement import Statement
    from sealward.protocol import reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request that may be refused, and the context that it was made in."""

    context: RequestContext

    @property
    def actor(self) -> str:
        """Return who asks."""
        return self.context.actor

    @property
    def task_id(self) -> str | None:
        """Return the task that the command belongs to."""
        return self.context.task_id

    @property
    def request_id(self) -> str | None:
        """Return the HTTP request that brought the command."""
        return self.context.request_id


@dataclass(frozen=True, slots=True)
class Expected:
    """What an administrator has looked at; a sign that is another by now is left alone.

    `fingerprint` is that of what made the verdict false. `host_bound` has the digests of the host-bound
    parts that were recorded last, by form.
    """

    sign_id: int
    ordered: int
    sealed: int
    findings: tuple[Finding, ...]
    fingerprint: str = ""
    host_bound: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignCommand(Command):
    """A command about the sign of one server."""

    server_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSign(SignCommand):
    """Put a server under integrity control. The door knows from the inventory where it runs."""

    node_id: int
    hostname: str
    instance_name: str
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSign(SignCommand):
    """Make a new reference of what the server is now, if the sign is still as expected.

    With `in_doubt` only of a server that a libvirt upgrade has left in doubt, and if nothing else differs.
    `node_id` is the node that the administrator says the server is on (`commands.confirmation`).
    """

    expected: Expected | None = None
    in_doubt: bool = False
    node_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestValidation(SignCommand):
    """Measure the server now and compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationCommand(SignCommand):
    """A command about the node that a sign is on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveSign(LocationCommand):
    """The sign goes to that node; `grounds` says why."""

    node_id: int
    hostname: str
    instance_name: str
    grounds: Grounds


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceLeaving(LocationCommand):
    """The home of a server, `node_id`, says that it migrates the server out; see SignLeaving."""

    node_id: int
    to_node_id: int
    to_hostname: str
    announced_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestLeaving(LocationCommand):
    """A node asks for a server whose migration was announced for another node; see SignLeaving."""

    by_node_id: int
    by_hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndLeaving(LocationCommand):
    """The home of a server, `node_id`, said at `taken_at` that the server stays."""

    node_id: int
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSign(LocationCommand):
    """A node other than the home says that it runs the server; `denied` by the home."""

    by_node_id: int
    by_hostname: str
    denied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleClaim(LocationCommand):
    """A node that claimed the server does so no longer."""

    by_node_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeSign(SignCommand):
    """Take a server off control, if the sign is still as expected."""

    expected: Expected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetServerPolicy(SignCommand):
    """Have a server treated otherwise than its node's policy says; or, with all None, as it says."""

    policy: ServerPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMeasurement(SignCommand):
    """A node has measured a server. `statement` is the statement that `envelope` holds.

    The generation in the statement says whether the measurement seals or validates. `key` is the node's key.
    Before the envelope becomes a reference, the envelope itself must have been signed by `key`; `is_signed`
    says that this was verified already.
    """

    report: reports.Measurement
    envelope: Envelope
    key: Ed25519PublicKey
    statement: Statement
    is_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFailure(SignCommand):
    """The node `node_id` could not measure a server for a sign."""

    node_id: int
    report: reports.Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterNode(Command):
    """An agent makes itself known with its public key (PEM).

    `invitation` is the key (PEM) of the host's invitation, where that has signed the registration as well.
    `only_invited` keeps out a host that nobody has invited.
    """

    hostname: str
    public_key: str
    invitation: str | None = None
    only_invited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCommand(Command):
    """A command about one registered node."""

    hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipCommand(NodeCommand):
    """An administrator's word on who is a node, and by which key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitNode(MembershipCommand):
    """Let a node in under that key (PEM): one that never was there, or that was removed."""

    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteNode(MembershipCommand):
    """Let whoever has the secret key of `invitation` (PEM, public) register under the hostname, once."""

    invitation: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UninviteNode(MembershipCommand):
    """Have the invitation of a host count no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNode(MembershipCommand):
    """Take a node away. The door knows from the rows which servers on it are `signed`."""

    signed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceKey(MembershipCommand):
    """Believe from now on what is signed by that key (PEM), and no longer the one before."""

    public_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateNode(NodeCommand):
    """Switch validation on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivateNode(NodeCommand):
    """Switch validation off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNodePolicy(NodeCommand):
    """Say what the node does about servers that are not as they were signed."""

    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseNode(NodeCommand):
    """The node's lease has run out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInventory(NodeCommand):
    """A node has reported all servers that it has."""

    report: reports.Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFirmware(NodeCommand):
    """A node has reported all firmware files that it has."""

    report: reports.Firmware


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFirmware(NodeCommand):
    """Accept the firmware files that a node found last, which have that digest."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSweep(NodeCommand):
    """A node has looked at all its signed servers."""

    report: reports.Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEnforcement(NodeCommand):
    """A node has reported whether its start gate is active."""

    report: reports.Enforcement


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordObjection(NodeCommand):
    """A node's start gate has objected to a start."""

    report: reports.Objection


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReaction(NodeCommand):
    """A node has acted upon a violation."""

    report: reports.Reaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseReport(NodeCommand):
    """A report in the node's name was refused; `reason` is a stable code."""

    reason: str
    server_id: str | None
