"""Decides which hosts are nodes, and which key is a node's own: pure functions over a node's stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands import invitation
from sealward.commands import messages as ask
from sealward.commands.errors import NodeExists, NodeHasSigns, NotRegistered
from sealward.commands.fact import about_node, asked_by
from sealward.events import node as facts
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def decide(node: Node | None, command: ask.MembershipCommand, *, node_id: int, now: datetime) -> list[Event]:
    """Decide on what an administrator says; a node that is let in gets that id. Raises what the others do."""
    match command:
        case ask.InviteNode():
            return invitation.invite(node, command, node_id=node_id, now=now)
        case ask.UninviteNode():
            return invitation.uninvite(node, command, now=now)
        case ask.AdmitNode():
            return admit_node(node, command, node_id=node_id, now=now)
        case ask.RemoveNode():
            return remove_node(node, command, now=now)
        case ask.ReplaceKey():
            return replace_key(node, command, now=now)
    raise TypeError(command)


def admit_node(node: Node | None, command: ask.AdmitNode, *, node_id: int, now: datetime) -> list[Event]:
    """Let a host in as a new node, under the key that the administrator names. Raises NodeExists."""
    if node is not None and not node.removed:
        raise NodeExists
    registered = facts.NodeRegistered(
        timestamp=now,
        **asked_by(command),
        node_id=node_id,
        hostname=command.hostname,
        public_key=command.public_key,
    )
    return [registered]


def remove_node(node: Node | None, command: ask.RemoveNode, *, now: datetime) -> list[Event]:
    """Remove a node. It cannot come back by itself. Raises NotRegistered, NodeHasSigns."""
    node = member(node)
    if command.signed:
        more = len(command.signed) - 1
        others = f" and {more} more" if more else ""
        raise NodeHasSigns(
            f"Signed on this node: server {command.signed[0]}{others}. DELETE /v1/sign/{{server_id}} takes a "
            "server off control; a sign follows its server to the node where that runs. "
            f"GET /v1/sign?node_id={node.node_id} lists them."
        )
    return [about_node(facts.NodeRemoved, node, command, now)]


def member(node: Node | None) -> Node:
    """Return the node. Raises NotRegistered if it never registered or was removed."""
    if node is None or node.removed:
        raise NotRegistered
    return node


def replace_key(node: Node | None, command: ask.ReplaceKey, *, now: datetime) -> list[Event]:
    """Replace the key of a node. The key that it has already is no change.

    References that the former key has signed stay valid: the authority has countersigned them, and the log
    names both keys. Raises NotRegistered, KeyRefused.
    """
    node = member(node)
    if command.public_key == node.public_key:
        return []
    replaced = about_node(
        facts.NodeKeyReplaced,
        node,
        command,
        now,
        public_key=command.public_key,
        keyid=keyid(public_key(command.public_key)),
        replaced=keyid(public_key(node.public_key)),
    )
    return [replaced]
