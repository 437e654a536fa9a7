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

import msgspec
from msgspec.structs import replace

from sealward.commands.errors import PlaceUnconfirmed
from sealward.events.claim import CLAIMED
from sealward.events.sign import Grounds, SignMoved, SignSealed, SignUpdated, SignValidated
from sealward.events.verdict import IsValid, held

if TYPE_CHECKING:
    from sealward.commands.sign import Sign
    from sealward.events.base import Event
    from sealward.events.verdict import Verdict

UNCONFIRMED: Final = "place-unconfirmed"
"""The reason why an order of before a move is not sealed on the new node."""
UNPROVEN: Final = frozenset((Grounds.LEFT, Grounds.POLICY))
"""Grounds of a move for which nobody but the new node has said that the server went there."""


class Unconfirmed(msgspec.Struct, frozen=True):
    """What is not confirmed: `was_false` is for rule 1, `is_elsewhere` for rules 2 and 3."""

    was_false: bool = False
    is_elsewhere: bool = False


CONFIRMED: Final = Unconfirmed()


def after(known: Unconfirmed, verdict: Verdict, event: Event) -> Unconfirmed:
    """Return what is unconfirmed after an event of the sign; `verdict` is the verdict after that event."""
    match event:
        case SignSealed() | SignMoved(grounds=Grounds.ORDERED):
            return CONFIRMED
        case SignMoved():
            was_false = known.was_false or verdict.is_valid is IsValid.FALSE
            return Unconfirmed(was_false, known.is_elsewhere or event.grounds in UNPROVEN)
        case SignUpdated():
            return replace(known, is_elsewhere=False)
        case SignValidated(is_valid=IsValid.TRUE):
            return replace(known, was_false=False)  # recorded before there was rule 1
    return known


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
