"""Commands: imperative requests that may be refused, from HTTP, from reports of nodes and from Celery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

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


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may be refused, with the context that it was made in.

    Commands are made for each report of a node. A Struct of msgspec is made in a fifth of the time of a
    frozen dataclass (Python 3.11, measured).
    """

    context: RequestContext

    @property
    def actor(self) -> str:
        """Return the actor, as in `RequestContext`."""
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
    """The state of a sign that an administrator has seen (If-Match): a sign that has changed is left alone.

    `fingerprint` is that of the measurement that made the verdict false. `host_bound` has the digests of the
    host-bound parts that were recorded last, by form.
    """

    sign_id: int
    ordered: int
    sealed: int
    findings: tuple[Finding, ...]
    fingerprint: str = ""
    host_bound: Mapping[str, str] = field(default_factory=dict)


class SignCommand(Command, frozen=True, kw_only=True):
    """A command about the sign of one server."""

    server_id: str


class CreateSign(SignCommand, frozen=True, kw_only=True):
    """Put a server under integrity control. The node is known from the projection of servers."""

    node_id: int
    hostname: str
    instance_name: str
    profile: str


class UpdateSign(SignCommand, frozen=True, kw_only=True):
    """Make a new reference of what the server is now, if the sign is still as expected.

    With `in_doubt`, the server must be in doubt after a libvirt upgrade, and is sealed only if nothing else
    differs. `node_id` is the node on which the administrator says the server is
    (`commands.moves.confirmation`).
    """

    expected: Expected | None = None
    in_doubt: bool = False
    node_id: int | None = None


class RequestValidation(SignCommand, frozen=True, kw_only=True):
    """Measure the server now and compare."""


class LocationCommand(SignCommand, frozen=True, kw_only=True):
    """A command about the node that a sign is on."""


class MoveSign(LocationCommand, frozen=True, kw_only=True):
    """Move a sign to the node `node_id`. `grounds` says why."""

    node_id: int
    hostname: str
    instance_name: str
    grounds: Grounds


class AnnounceLeaving(LocationCommand, frozen=True, kw_only=True):
    """The home of a server, `node_id`, has said that it migrates the server to the node `to_node_id`."""

    node_id: int
    to_node_id: int
    to_hostname: str
    announced_at: datetime


class ContestLeaving(LocationCommand, frozen=True, kw_only=True):
    """The node `by_node_id` requests a server whose migration was announced for another node."""

    by_node_id: int
    by_hostname: str


class EndLeaving(LocationCommand, frozen=True, kw_only=True):
    """The home of a server, `node_id`, said at `taken_at` that the server stays."""

    node_id: int
    taken_at: datetime


class ClaimSign(LocationCommand, frozen=True, kw_only=True):
    """A node other than the home says that it runs the server. `denied` says that the home contradicts."""

    by_node_id: int
    by_hostname: str
    denied: bool = False


class SettleClaim(LocationCommand, frozen=True, kw_only=True):
    """The claim of the node `by_node_id` has ended."""

    by_node_id: int


class RevokeSign(SignCommand, frozen=True, kw_only=True):
    """Take a server off control, if the sign is still as expected."""

    expected: Expected | None = None


class SetServerPolicy(SignCommand, frozen=True, kw_only=True):
    """Set the exceptions of a server from its node's policy; a policy of None values has no exception."""

    policy: ServerPolicy


class RecordMeasurement(SignCommand, frozen=True, kw_only=True):
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


class RecordFailure(SignCommand, frozen=True, kw_only=True):
    """The node `node_id` could not measure a server for a sign."""

    node_id: int
    report: reports.Failure


class RegisterNode(Command, frozen=True, kw_only=True):
    """An agent registers its host with its public key (PEM).

    `invitation` is the key (PEM) of the host's invitation, if that key has signed the registration as well.
    `only_invited` keeps out a host that is not invited.
    """

    hostname: str
    public_key: str
    invitation: str | None = None
    only_invited: bool = False


class NodeCommand(Command, frozen=True, kw_only=True):
    """A command about one registered node."""

    hostname: str


class MembershipCommand(NodeCommand, frozen=True, kw_only=True):
    """An administrator's command about which hosts are nodes, and about their keys."""


class AdmitNode(MembershipCommand, frozen=True, kw_only=True):
    """Let a host in as a node under the key `public_key` (PEM), if it never was a node or was removed."""

    public_key: str


class InviteNode(MembershipCommand, frozen=True, kw_only=True):
    """Let an agent with the secret key of `invitation` (PEM, public) register under the hostname, once."""

    invitation: str
    expires_at: datetime


class UninviteNode(MembershipCommand, frozen=True, kw_only=True):
    """Revoke the invitation of a host."""


class RemoveNode(MembershipCommand, frozen=True, kw_only=True):
    """Remove a node. `signed` are the signed servers on it, from the projections: there may be none."""

    signed: tuple[str, ...]


class ReplaceKey(MembershipCommand, frozen=True, kw_only=True):
    """Replace the key of a node by `public_key` (PEM)."""

    public_key: str


class ActivateNode(NodeCommand, frozen=True, kw_only=True):
    """Switch validation on."""


class DeactivateNode(NodeCommand, frozen=True, kw_only=True):
    """Switch validation off."""


class SetNodePolicy(NodeCommand, frozen=True, kw_only=True):
    """Set the policy of a node: its reactions to servers that are not as they were signed."""

    policy: Policy


class LoseNode(NodeCommand, frozen=True, kw_only=True):
    """The node's lease has run out."""


class RecordInventory(NodeCommand, frozen=True, kw_only=True):
    """A node has reported all servers that it has."""

    report: reports.Inventory


class RecordFirmware(NodeCommand, frozen=True, kw_only=True):
    """A node has reported all firmware files that it has."""

    report: reports.Firmware


class AcceptFirmware(NodeCommand, frozen=True, kw_only=True):
    """Accept the firmware files that a node reported last. `digest` is the digest of those files."""

    digest: str


class RecordSweep(NodeCommand, frozen=True, kw_only=True):
    """A node has looked at all its signed servers."""

    report: reports.Sweep


class RecordEnforcement(NodeCommand, frozen=True, kw_only=True):
    """A node has reported whether its start gate is active."""

    report: reports.Enforcement


class RecordSoftware(NodeCommand, frozen=True, kw_only=True):
    """A node has reported the version of its agent, its profile and its libvirt."""

    report: reports.Software


class RecordObjection(NodeCommand, frozen=True, kw_only=True):
    """A node's start gate has objected to a start."""

    report: reports.Objection


class RecordReaction(NodeCommand, frozen=True, kw_only=True):
    """A node has acted upon a violation."""

    report: reports.Reaction


class RefuseReport(NodeCommand, frozen=True, kw_only=True):
    """A report in the node's name was refused; `reason` is a stable code."""

    reason: str
    server_id: str | None
