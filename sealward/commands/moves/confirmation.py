"""What an administrator has not confirmed yet about a sign that moved by itself: pure functions.

Only nodes say where a server goes, and a node may lie. So the node that got a sign without an
administrator's order is not believed in everything. Rules, each with a test of its name in
tests/commands/test_confirmation.py:

1. A server that was false when its sign moved stays false, on any grounds of the move: no measurement
   of the new node makes it true (`events.verdict`, rule 13).
2. After a move on the grounds "left" or "policy" nothing is sealed for an order of before the move.
3. After a move on those grounds, a new order names the node that the sign is on.
4. A later move without an administrator's order, on any grounds, ends none of this.
5. A seal ends all of it, and so does an administrator's order to move the sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.commands.errors import PlaceUnconfirmed
from sealward.events.claim import CLAIMED
from sealward.events.is_valid import IsValid
from sealward.events.verdict import held

if TYPE_CHECKING:
    from sealward.commands.sign_state import Sign
    from sealward.events.verdict import Verdict

UNCONFIRMED: Final = "place-unconfirmed"
"""The reason why an order of before a move is not sealed on the new node."""


def not_sealed_for(sign: Sign) -> str | None:
    """Return the reason why no measurement is sealed now (rule 2); None where it may be.

    An order for what an upgrade has left in doubt is for servers in which nothing else has changed: none that
    was false is sealed for it.
    """
    if sign.verdict.claims:
        return CLAIMED
    known = sign.unconfirmed
    is_unconfirmed = known.is_elsewhere or (known.was_false and sign.is_order_in_doubt)
    return UNCONFIRMED if is_unconfirmed else None


def as_confirmed(sign: Sign, verdict: Verdict) -> Verdict:
    """Return the verdict that a measurement gives, held back where the sign was false elsewhere (rule 1)."""
    if sign.unconfirmed.was_false and verdict.is_valid is IsValid.TRUE:
        return held(sign.verdict)
    return verdict


def refuse_unnamed(sign: Sign, node_id: int | None) -> None:
    """Raise PlaceUnconfirmed for an order that does not name the sign's node where it must (rule 3).

    An order that names another node is refused in any case: its giver is wrong about where the server is.
    """
    if node_id == sign.node_id or (node_id is None and not sign.unconfirmed.is_elsewhere):
        return
    message = f"{PlaceUnconfirmed.__doc__} The sign is on node {sign.node_id} ({sign.hostname})."
    raise PlaceUnconfirmed(message)
