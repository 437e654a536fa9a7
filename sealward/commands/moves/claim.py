"""Decides on claims: a node claims a server that its home has not let go. Pure functions.

1. A claim is recorded once, and once more when the home denies it.
2. A claim that its node withdraws is settled at once.
3. When a node claims the same server too often, its last claim stands for a while after the node has
   withdrawn it. So a node that claims and withdraws again and again makes few events, and the verdict does
   not change each time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealward.commands.errors import NotSigned
from sealward.commands.fact import about_sign
from sealward.events.sign import SignClaimed, SignClaimSettled

if TYPE_CHECKING:
    from sealward.commands.messages import ClaimSign, SettleClaim
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event
    from sealward.events.claim import Claim

OFTEN: Final = 3
"""After so many claims of one node to one server within `WITHIN`, the last claim stands for `WITHIN`."""
WITHIN: Final = timedelta(minutes=10)


def claim_sign(sign: Sign | None, command: ClaimSign, *, now: datetime) -> list[Event]:
    """Record that a node claims a server, or that the home denies the claim. Raises NotSigned."""
    if sign is None:
        raise NotSigned
    known = _of(sign, command.by_node_id)
    if command.by_node_id == sign.node_id or (known is None and command.denied):
        return []
    if known is not None and (known.denied or not command.denied):
        return []
    fact = about_sign(
        SignClaimed,
        sign,
        command,
        now,
        hostname=sign.hostname,
        by_node_id=command.by_node_id,
        by_hostname=command.by_hostname,
        denied=command.denied,
    )
    return [fact]


def settle_claim(sign: Sign | None, command: SettleClaim, *, now: datetime) -> list[Event]:
    """Record that a claim has ended, unless the claim stands by rule 3. Raises NotSigned."""
    if sign is None:
        raise NotSigned
    known = _of(sign, command.by_node_id)
    if known is None or _stands(sign, command.by_node_id, now):
        return []
    fact = about_sign(
        SignClaimSettled,
        sign,
        command,
        now,
        hostname=sign.hostname,
        by_node_id=known.node_id,
        by_hostname=known.by,
    )
    return [fact]


def opened_at(sign: Sign, node_id: int) -> datetime | None:
    """Return when a node opened its present claim; None where it claims nothing."""
    if _of(sign, node_id) is None:
        return None
    return max((one.at for one in sign.opened if one.node_id == node_id), default=None)


def _of(sign: Sign, node_id: int) -> Claim | None:
    return next((one for one in sign.verdict.claims if one.node_id == node_id), None)


def _stands(sign: Sign, node_id: int, now: datetime) -> bool:
    """Say whether a claim stands although its node has withdrawn it (rule 3)."""
    recent = [one for one in sign.opened if one.node_id == node_id and now - one.at < WITHIN]
    return len(recent) >= OFTEN
