"""Announced migrations, a sentence a rule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from factories import NOON, ORDER, SERVER
from msgspec.structs import replace

from sealward.commands.context import RequestContext
from sealward.commands.errors import AnnouncedToAnother, NotSigned, WrongNode
from sealward.commands.messages import AnnounceLeaving, ClaimSign, ContestLeaving, EndLeaving, MoveSign
from sealward.commands.moves import location
from sealward.commands.moves.claim import claim_sign
from sealward.commands.moves.leaving import announce_leaving, contest_leaving, end_leaving
from sealward.commands.sign_state import Sign, evolve
from sealward.events.sign import Grounds, SignCreated, SignLeaving, SignStayed

SECOND = timedelta(seconds=1)


def signed() -> Sign:
    """Return a sign on node 2."""
    made = evolve(None, SignCreated(**ORDER))
    assert made is not None
    return made


def announce(to: int = 3, by: int = 2) -> AnnounceLeaving:
    """Return the command of a node to announce a migration."""
    return AnnounceLeaving(
        context=RequestContext(actor=f"node:kvm{by}"),
        server_id=SERVER,
        node_id=by,
        to_node_id=to,
        to_hostname=f"kvm{to}",
        announced_at=NOON,
    )


def announced() -> Sign:
    """Return a sign whose home has announced a migration to node 3."""
    (leaving,) = announce_leaving(signed(), announce(), now=NOON)
    sign = evolve(signed(), leaving)
    assert isinstance(leaving, SignLeaving)
    assert sign is not None
    return sign


def test_1_only_the_home_announces() -> None:
    """Neither the destination, nor a third."""
    for by in (3, 4):
        with pytest.raises(WrongNode):
            announce_leaving(signed(), announce(by=by), now=NOON)
    with pytest.raises(NotSigned):
        announce_leaving(None, announce(), now=NOON)


def test_2_one_destination_is_named_and_may_be_again() -> None:
    """Another may not."""
    assert announce_leaving(announced(), announce(), now=NOON) == []
    with pytest.raises(AnnouncedToAnother):
        announce_leaving(announced(), announce(4), now=NOON)


def test_2_when_another_node_asks_the_announcement_is_contested_until_it_ends() -> None:
    """That is recorded once, for any node that asks; neither the destination nor the home contests."""

    def ask_for(by: int) -> ContestLeaving:
        return ContestLeaving(
            context=RequestContext(actor=f"node:kvm{by}"),
            server_id=SERVER,
            by_node_id=by,
            by_hostname=f"kvm{by}",
        )

    (contested,) = contest_leaving(announced(), ask_for(4), now=NOON)
    sign = evolve(announced(), contested)
    assert isinstance(contested, SignLeaving)
    assert sign is not None
    assert sign.leaving is not None
    end = EndLeaving(
        context=RequestContext(actor="node:kvm2"), server_id=SERVER, node_id=2, taken_at=NOON + SECOND
    )
    (stayed,) = end_leaving(sign, end, now=NOON)
    ended = evolve(sign, stayed)

    assert (contested.to_hostname, contested.contested, sign.leaving.to_node_id) == ("kvm4", True, 3)
    assert sign.leaving.is_contested
    assert contest_leaving(sign, ask_for(5), now=NOON) == []
    assert contest_leaving(announced(), ask_for(3), now=NOON) == []
    assert contest_leaving(announced(), ask_for(2), now=NOON) == []
    assert contest_leaving(signed(), ask_for(4), now=NOON) == []
    assert ended is not None
    assert ended.leaving is None


def test_3_an_announcement_ends_with_the_move_or_when_the_home_says_later_that_it_stays() -> None:
    """What the home said before, by its own clock, ends nothing."""

    def end(at: timedelta) -> EndLeaving:
        return EndLeaving(
            context=RequestContext(actor="node:kvm2"), server_id=SERVER, node_id=2, taken_at=NOON + at
        )

    (stayed,) = end_leaving(announced(), end(SECOND), now=NOON)
    stays = evolve(announced(), stayed)
    move = MoveSign(
        context=RequestContext(actor="node:kvm3"),
        server_id=SERVER,
        node_id=3,
        hostname="kvm3",
        instance_name="i",
        grounds=Grounds.ANNOUNCED,
    )
    (moved,) = location.move_sign(announced(), move, now=NOON)
    gone = evolve(announced(), moved)

    assert isinstance(stayed, SignStayed)
    assert stays is not None
    assert gone is not None
    assert (stays.leaving, gone.leaving) == (None, None)
    assert end_leaving(announced(), end(-SECOND), now=NOON) == end_leaving(
        announced(), end(0 * SECOND), now=NOON
    )
    assert end_leaving(announced(), end(-SECOND), now=NOON) == []
    assert end_leaving(signed(), end(SECOND), now=NOON) == []
    assert end_leaving(announced(), end(-120 * SECOND), now=NOON) != []  # its clock was set back


def test_4_what_another_node_claims_is_announced_to_nobody_else() -> None:
    """To the node that claims it, it may be: that was the destination."""
    claim = ClaimSign(
        context=RequestContext(actor="node:kvm3"), server_id=SERVER, by_node_id=3, by_hostname="kvm3"
    )
    (claimed,) = claim_sign(signed(), claim, now=NOON)
    sign = evolve(signed(), claimed)
    assert sign is not None

    assert announce_leaving(sign, announce(3), now=NOON) != []
    with pytest.raises(AnnouncedToAnother):
        announce_leaving(sign, announce(4), now=NOON)
    assert replace(sign, leaving=None) == sign
