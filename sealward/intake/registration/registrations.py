"""Which command the registration of an agent amounts to, and whose word it is."""

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
    from sealward.intake.reports.reading import Said


def command(
    report: reports.Registration, one: Said, node: Node | None, *, only_invited: bool
) -> RegisterNode:
    """Return the command to register a node, with the invitation that has signed the envelope as well."""
    invitation = None if node is None or node.invitation is None else node.invitation.public_key
    return RegisterNode(
        context=by_node(report.hostname),
        hostname=report.hostname,
        public_key=report.public_key,
        invitation=invitation if invitation is not None and _has_signed(one, invitation) else None,
        only_invited=only_invited,
    )


def key_of(node: Node | None, said: reports.AnyReport | reports.Bundle | codec.Unread) -> str:
    """Return the key (PEM) that must have signed: the registered one; of a registration its own.

    Raises NotRegistered.
    """
    if isinstance(said, reports.Registration):
        return said.public_key  # another key than the registered one is refused later
    if node is None or not node.public_key:
        raise NotRegistered
    return node.public_key


def is_of_a_stranger(report: reports.AnyReport, node: Node | None) -> bool:
    """Say whether a registration was signed by a key that is not that of the node it names."""
    if not isinstance(report, reports.Registration):
        return False
    return node is None or node.public_key != report.public_key


def _has_signed(one: Said, pem: str) -> bool:
    try:
        envelopes.verify(one.signed.envelope, [public_key(pem)])
    except (envelopes.NotVerified, KeyRefused):
        return False
    return True
