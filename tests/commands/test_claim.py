"""What becomes of a claim, a sentence a rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOON, ORDER, SERVER

from sealward.commands.context import RequestContext
from sealward.commands.errors import NotSigned
from sealward.commands.messages import ClaimSign, SettleClaim
from sealward.commands.moves.claim import OFTEN, WITHIN, claim_sign, settle_claim
from sealward.commands.sign_state import Sign, evolve
from sealward.events.base import Event
from sealward.events.sign import SignClaimed, SignClaimSettled, SignCreated

CLAIM = ClaimSign(
    context=RequestContext(actor="node:kvm3"), server_id=SERVER, by_node_id=3, by_hostname="kvm3"
)
DENY = ClaimSign(
    context=RequestContext(actor="node:kvm2"), server_id=SERVER, by_node_id=3, by_hostname="kvm3", denied=True
)
SETTLE = SettleClaim(context=RequestContext(actor="node:kvm3"), server_id=SERVER, by_node_id=3)


def signed() -> Sign:
    """Return a sign on node 2."""
    made = evolve(None, SignCreated(**ORDER))
    assert made is not None
    return made


def after(sign: Sign, events: list[Event]) -> Sign:
    """Return the sign after those events."""
    for one in events:
        found = evolve(sign, one)
        assert found is not None
        sign = found
    return sign


def test_1_a_claim_is_recorded_once_and_once_more_when_it_is_denied() -> None:
    """A denial of what nobody claims is nothing, nor is a claim of the home itself."""
    (claimed,) = claim_sign(signed(), CLAIM, now=NOON)
    open_ = after(signed(), [claimed])
    (denied,) = claim_sign(open_, DENY, now=NOON)
    both = after(open_, [denied])

    assert isinstance(claimed, SignClaimed)
    assert (claimed.hostname, claimed.by_hostname, claimed.denied) == ("kvm2", "kvm3", False)
    assert claim_sign(open_, CLAIM, now=NOON) == []
    assert claim_sign(both, CLAIM, now=NOON) == claim_sign(both, DENY, now=NOON) == []
    assert claim_sign(signed(), DENY, now=NOON) == []
    own = ClaimSign(
        context=RequestContext(actor="node:kvm2"), server_id=SERVER, by_node_id=2, by_hostname="kvm2"
    )
    assert claim_sign(signed(), own, now=NOON) == []
    with pytest.raises(NotSigned):
        claim_sign(None, CLAIM, now=NOON)


def test_2_a_claim_that_is_withdrawn_is_settled_at_once() -> None:
    """What its node finds then is news; there is nothing to settle where nothing is claimed."""
    open_ = after(signed(), claim_sign(signed(), CLAIM, now=NOON))
    (settled,) = settle_claim(open_, SETTLE, now=NOON)
    found = after(open_, [settled])

    assert isinstance(settled, SignClaimSettled)
    assert (found.verdict.claims, found.is_unseen) == ((), True)
    assert settle_claim(signed(), SETTLE, now=NOON) == []
    with pytest.raises(NotSigned):
        settle_claim(None, SETTLE, now=NOON)


def test_3_a_node_that_claims_too_often_has_its_last_claim_stand() -> None:
    """For a while; a node that does not is not affected."""
    sign, now = signed(), NOON
    for _ in range(OFTEN):
        sign = after(sign, settle_claim(sign, SETTLE, now=now))
        now += timedelta(seconds=1)
        sign = after(sign, claim_sign(sign, CLAIM, now=now))
    other = ClaimSign(
        context=RequestContext(actor="node:kvm4"), server_id=SERVER, by_node_id=4, by_hostname="kvm4"
    )
    sign = after(sign, claim_sign(sign, other, now=now))

    assert settle_claim(sign, SETTLE, now=now) == []
    assert settle_claim(sign, SETTLE, now=now + WITHIN) != []
    assert (
        settle_claim(
            sign,
            SettleClaim(context=RequestContext(actor="node:kvm4"), server_id=SERVER, by_node_id=4),
            now=now,
        )
        != []
    )
