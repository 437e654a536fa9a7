"""The limits of a sign until an administrator confirms where its server is: pure functions.

Only nodes say where a server goes, and a node may lie. So a node that got a sign without an administrator's
order is not believed in everything. `sign_state.Unconfirmed` keeps what is not confirmed.

Rules, each with a test of its name in tests/commands/test_confirmation.py:

1. A server that was false when its sign moved stays false, on any grounds of the move: no measurement
   of the new node makes it true (`events.verdict`, rule 13).
2. After a move on the grounds "left" or "policy" nothing is sealed for an order of before the move.
3. After a move on those grounds, a new order names the node that the sign is on.
4. A later move without an administrator's order, on any grounds, ends none of this.
5. A seal ends all of it, and so does an administrator's order to move the sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.errors import PlaceUnconfirmed
from sealward.events.is_valid import IsValid
from sealward.events.verdict import held
from sealward.events.verdict_reason import VerdictReason

if TYPE_CHECKING:
    from sealward.commands.sign_state import Sign
    from sealward.events.verdict import Verdict


def not_sealed_for(sign: Sign) -> VerdictReason | None:
    """Return the reason why no measurement is sealed now (rule 2); None where a measurement may be sealed.

    An order with `in_doubt` is for servers in which nothing else has changed: a server that was false is not
    sealed for it.
    """
    if sign.verdict.claims:
        return VerdictReason.CLAIMED
    known = sign.unconfirmed
    is_unconfirmed = known.is_elsewhere or (known.was_false and sign.is_order_in_doubt)
    return VerdictReason.PLACE_UNCONFIRMED if is_unconfirmed else None


def as_confirmed(sign: Sign, verdict: Verdict) -> Verdict:
    """Return the verdict of a measurement; it stays false if it was false before the move (rule 1)."""
    if sign.unconfirmed.was_false and verdict.is_valid is IsValid.TRUE:
        return held(sign.verdict)
    return verdict


def refuse_unnamed(sign: Sign, node_id: int | None) -> None:
    """Raise PlaceUnconfirmed for an order that must name the sign's node and does not (rule 3).

    An order that names another node is always refused: the administrator is wrong about where the server is.
    """
    if node_id == sign.node_id or (node_id is None and not sign.unconfirmed.is_elsewhere):
        return
    message = f"{PlaceUnconfirmed.__doc__} The sign is on node {sign.node_id} ({sign.hostname})."
    raise PlaceUnconfirmed(message)
