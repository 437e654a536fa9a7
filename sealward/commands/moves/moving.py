"""What moves a sign, or speaks for or against that: which rules decide, and what follows from the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands import messages as ask
from sealward.commands.moves import claim as claims
from sealward.commands.moves import leaving as leavings
from sealward.commands.moves import place
from sealward.events import sign as facts

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.sign import Sign
    from sealward.events.base import Event


def decide(sign: Sign | None, command: ask.PlaceCommand, *, now: datetime) -> list[Event]:
    """Decide on a command about the node that a sign is on. Raises what the rules of each kind raise."""
    match command:
        case ask.MoveSign():
            return place.move_sign(sign, command, now=now)
        case ask.AnnounceLeaving():
            return leavings.announce_leaving(sign, command, now=now)
        case ask.ContestLeaving():
            return leavings.contest_leaving(sign, command, now=now)
        case ask.EndLeaving():
            return leavings.end_leaving(sign, command, now=now)
        case ask.ClaimSign():
            return claims.claim_sign(sign, command, now=now)
        case ask.SettleClaim():
            return claims.settle_claim(sign, command, now=now)
    raise TypeError(command)


def evolve(sign: Sign, event: facts.SignPlaced) -> Sign:
    """Return the sign after a fact about the node that it is on."""
    match event:
        case facts.SignMoved():
            return place.moved(sign, event)
        case facts.SignLeaving() | facts.SignStayed():
            return leavings.evolve(sign, event)
        case facts.SignClaimed() | facts.SignClaimSettled():
            return claims.evolve(sign, event)
    raise TypeError(event)
