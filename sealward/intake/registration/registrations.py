"""Registrations of agents: the command that records a registration, and the key that must have signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.context import by_node
from sealward.commands.errors import NotRegistered
from sealward.commands.messages import RegisterNode
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keys import KeyRefused, public_key
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from sealward.commands.node_state import Node
    from sealward.intake.reports.decoding import DecodedMessage


def command(
    report: reports.Registration, one: DecodedMessage, node: Node | None, *, only_invited: bool
) -> RegisterNode:
    """Return the command to register a node, with the node's invitation if its key has signed as well."""
    invitation = None if node is None or node.invitation is None else node.invitation.public_key
    return RegisterNode(
        context=by_node(report.hostname),
        hostname=report.hostname,
        public_key=report.public_key,
        invitation=invitation if invitation is not None and _has_signed(one, invitation) else None,
        only_invited=only_invited,
    )


def key_of(node: Node | None, said: reports.AnyReport | reports.Bundle | codec.Unread) -> str:
    """Return the key (PEM) that must have signed a message: the registered key, or a registration's own key.

    Raises NotRegistered.
    """
    if isinstance(said, reports.Registration):
        return said.public_key  # a key that is not the registered key is refused later
    if node is None or not node.public_key:
        raise NotRegistered
    return node.public_key


def is_of_a_stranger(report: reports.AnyReport, node: Node | None) -> bool:
    """Say whether a report is a registration under another key than that of the node it names."""
    if not isinstance(report, reports.Registration):
        return False
    return node is None or node.public_key != report.public_key


def _has_signed(one: DecodedMessage, pem: str) -> bool:
    try:
        envelopes.verify(one.signed.envelope, [public_key(pem)])
    except (envelopes.NotVerified, KeyRefused):
        return False
    return True
