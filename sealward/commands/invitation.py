"""Decides on invitations, by which a new host is let in once, within a time: pure functions.

An invitation is an Ed25519 key. An administrator brings its secret to the host; the log has the public key
alone. A registration that the invitation's key has signed as well comes from that host, and nobody on the way
can change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.errors import (
    HostnameTaken,
    InvitationExpired,
    InvitationRevoked,
    InvitationSpent,
    InvitationUsed,
    NodeExists,
    NodeWasRemoved,
    NotInvited,
)
from sealward.commands.fact import asked_by
from sealward.events import node as facts
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import InviteNode, RegisterNode, UninviteNode
    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def invite(node: Node | None, command: InviteNode, *, node_id: int, now: datetime) -> list[Event]:
    """Invite a host that is no node. An invitation can be prolonged until the host has registered.

    A host that was invited before and has not registered keeps its id. Raises NodeExists, InvitationSpent,
    KeyRefused.
    """
    known = None if node is None else node.invitation
    if known is not None and (known.public_key, known.revoked) == (command.invitation, False):
        is_used = node is not None and not node.removed
        if is_used or known.expires_at >= command.expires_at:
            return []
    if node is not None and not node.removed:
        raise NodeExists
    if node is not None and command.invitation in node.spent:
        raise InvitationSpent
    invited = facts.NodeInvited(
        timestamp=now,
        **asked_by(command),
        node_id=node.node_id if node is not None and is_expected(node) else node_id,
        hostname=command.hostname,
        invitation=command.invitation,
        keyid=keyid(public_key(command.invitation)),
        expires_at=command.expires_at,
    )
    return [invited]


def uninvite(node: Node | None, command: UninviteNode, *, now: datetime) -> list[Event]:
    """Revoke an invitation that was not used. Raises NotInvited, InvitationUsed."""
    if node is None or node.invitation is None or node.invitation.revoked:
        raise NotInvited
    if not node.removed:
        raise InvitationUsed
    uninvited = facts.NodeUninvited(
        timestamp=now,
        **asked_by(command),
        node_id=node.node_id,
        hostname=node.hostname,
        keyid=keyid(public_key(node.invitation.public_key)),
    )
    return [uninvited]


def is_expected(node: Node) -> bool:
    """Say whether a host was invited and has never registered."""
    return node.removed and not node.public_key


def refuse_uninvited(node: Node | None, command: RegisterNode, now: datetime) -> None:
    """Raise an error if a host that is no node may not register.

    Raises NotInvited, InvitationExpired, InvitationRevoked, NodeWasRemoved.
    """
    if node is None:
        if command.only_invited:
            raise NotInvited
        return
    if node.invitation is None:
        raise NodeWasRemoved
    if command.invitation != node.invitation.public_key:
        raise NotInvited
    if node.invitation.revoked:
        raise InvitationRevoked
    if now >= node.invitation.expires_at:
        raise InvitationExpired


def refuse_another(node: Node, command: RegisterNode) -> None:
    """Raise InvitationUsed or HostnameTaken if a node registers under another key than its own."""
    if command.public_key == node.public_key:
        return
    if node.invitation is not None and command.invitation == node.invitation.public_key:
        raise InvitationUsed
    raise HostnameTaken
