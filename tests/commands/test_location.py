"""On which node a sign is, and on whose word it moves: a sentence a rule, and what no history may do."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from factories import NOON, ORDER, SERVER
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sealward.commands.errors import NodeNotLost
from sealward.commands.moves.location import (
    AGREED,
    AWAITED,
    NO_NODE,
    Others,
    Standing,
    gone,
    grounds_for,
    is_rival,
    refuse_order,
    standing,
    takes_part,
)
from sealward.commands.node_state import Node
from sealward.commands.sign_state import AnnouncedMigration, Sign, evolve
from sealward.events.claim import Claim
from sealward.events.sign import Grounds, SignCreated
from sealward.events.verdict import claimed

NAMED = (SERVER, "instance-1")
HOME, OTHER, THIRD = 2, 3, 4
RUNS = Standing(has=True, runs=True)
HAS = Standing(has=True)
LEFT = Standing()
IN_TRANSIT = Standing(has=True, leaving=True)
MIGRATES = Standing(has=True, runs=True, leaving=True)
LOST = Standing(has=True, runs=True, is_heard=False)


def sign(*, to: int | None = None, denied: int | None = None, at: datetime = NOON) -> Sign:
    """Return a sign whose migration is announced for a node, or whose home has denied a node's claim."""
    made = evolve(None, SignCreated(**ORDER))
    assert made is not None
    if to is not None:
        made = replace(made, leaving=AnnouncedMigration(to, f"kvm{to}", at, at))
    if denied is not None:
        claim = Claim(denied, f"kvm{denied}", "kvm2", denied=True)
        made = replace(made, verdict=claimed(made.verdict, claim))
    return made


def contested() -> Sign:
    """Return a sign whose migration was announced for a node, and another one has asked for the server."""
    made = sign(to=OTHER)
    assert made.leaving is not None
    return replace(made, leaving=replace(made.leaving, is_contested=True))


def word(  # noqa: PLR0913 - each rule changes one of them
    home: Standing,
    other: Standing = RUNS,
    made: Sign | None = None,
    *,
    claim: bool = False,
    follow_lost: bool = False,
    later: timedelta = timedelta(0),
) -> Grounds | None:
    """Return on whose word the sign goes to a node that takes part."""
    return grounds_for(made or sign(), (OTHER, other), home, Others(claim, follow_lost), NOON + later)


def test_1_a_leftover_takes_no_part() -> None:
    """Neither while its home runs the server, nor when that is switched off, nor when its home is lost."""
    assert not takes_part(RUNS, HAS)
    assert not takes_part(HAS, HAS)
    assert not takes_part(LOST, HAS)
    assert not takes_part(NO_NODE, HAS)
    assert takes_part(HAS, RUNS)
    assert takes_part(LEFT, HAS)


def test_2_the_announced_destination_gets_the_sign_when_it_runs_the_server() -> None:
    """And its home does not, also when others claim it; without a word of the home after a while."""
    assert word(IN_TRANSIT, made=sign(to=OTHER), claim=True) is Grounds.ANNOUNCED
    assert word(LEFT, made=sign(to=OTHER)) is Grounds.ANNOUNCED
    assert word(LOST, made=sign(to=OTHER)) is Grounds.ANNOUNCED
    for home in (RUNS, MIGRATES, HAS):
        assert word(home, made=sign(to=OTHER)) is None
        assert word(home, made=sign(to=OTHER), later=AGREED) is Grounds.ANNOUNCED
    assert word(HAS, HAS, sign(to=OTHER)) is None


def test_2_a_contested_announcement_moves_nothing() -> None:
    """Neither for the node that asked first, nor after a while; what the home lets go is another matter."""
    for home in (RUNS, MIGRATES, HAS, LOST):
        assert word(home, made=contested(), later=AGREED) is None
    assert word(IN_TRANSIT, made=contested()) is Grounds.LEFT


def test_3_what_its_home_has_not_let_go_stays() -> None:
    """Whether its home runs it or has it switched off."""
    assert word(RUNS) is None
    assert word(HAS) is None


def test_4_what_its_home_has_let_go_moves() -> None:
    """It is there no longer, or paused for a migration, or it went by one; not while it still runs there."""
    assert word(LEFT) is Grounds.LEFT
    assert word(LEFT, HAS) is Grounds.LEFT
    assert word(IN_TRANSIT) is Grounds.LEFT
    assert word(MIGRATES) is None


def test_5_a_denied_claim_is_not_served_by_the_server_leaving() -> None:
    """Who claimed it while it was at home may not wait for it to leave; an announced migration counts."""
    denied = sign(denied=OTHER)

    assert word(LEFT, made=denied) is None
    assert word(LEFT, made=sign(denied=THIRD)) is Grounds.LEFT
    announced = replace(denied, leaving=sign(to=OTHER).leaving)
    assert word(IN_TRANSIT, made=announced) is Grounds.ANNOUNCED


def test_6_of_several_none_gets_it() -> None:
    """Nobody can say which of them tells the truth; who was asked for may have it paused, and not lie."""
    assert word(LEFT, claim=True) is None
    assert is_rival(sign(), LEFT, RUNS, RUNS)
    assert is_rival(sign(), LEFT, HAS, HAS)
    assert not is_rival(sign(), LEFT, HAS, RUNS)
    assert not is_rival(sign(), IN_TRANSIT, IN_TRANSIT, RUNS)
    assert is_rival(contested(), IN_TRANSIT, IN_TRANSIT, RUNS)
    assert word(LOST, claim=True, follow_lost=True) is None


def test_7_while_a_destination_is_awaited_no_other_gets_it() -> None:
    """For a minute after the announcement: the destination may have been slow, or may not have come up."""
    awaited = sign(to=THIRD)

    assert word(LEFT, made=awaited) is None
    assert word(LEFT, made=awaited, later=AWAITED) is Grounds.LEFT
    assert word(RUNS, made=awaited, later=AWAITED) is None


def test_8_a_lost_home_keeps_the_sign_unless_its_policy_says_otherwise() -> None:
    """What it said before it was lost counts; of a node that was removed nothing does."""
    assert word(LOST) is None
    assert word(LOST, follow_lost=True) is Grounds.POLICY
    assert word(LEFT._replace(is_heard=False)) is Grounds.LEFT
    assert word(NO_NODE) is None
    assert word(NO_NODE, follow_lost=True) is Grounds.POLICY


def test_9_an_administrator_moves_what_its_home_does_not_run() -> None:
    """A home that is heard and runs the server says itself when it leaves."""
    for home in (LOST, NO_NODE, LEFT, HAS, IN_TRANSIT):
        refuse_order(home)
    with pytest.raises(NodeNotLost):
        refuse_order(RUNS)
    with pytest.raises(NodeNotLost):
        refuse_order(MIGRATES)


STANDINGS = st.builds(Standing, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(STANDINGS, STANDINGS, st.sampled_from([None, OTHER, THIRD]), st.tuples(st.booleans(), st.booleans()))
def test_no_word_but_that_of_the_home_moves_a_sign(
    home: Standing, other: Standing, to: int | None, doubts: tuple[bool, bool]
) -> None:
    """For all reports of the other node: without a word of the home, the sign stays."""
    claim, denied = doubts
    made = sign(to=to, denied=OTHER if denied else None)
    moved = word(home, other, made, claim=claim)

    assert moved in {None, Grounds.ANNOUNCED, Grounds.LEFT}
    if moved is Grounds.ANNOUNCED:
        assert to == OTHER
    if moved is Grounds.LEFT:
        assert not home.runs
        assert not home.has or home.leaving
        assert doubts == (False, False)


def node(*, has: bool = True, runs: bool = False, leaving: bool = False, lost: bool = False) -> Node:
    """Return a node as it was heard of last."""
    return Node(
        HOME,
        "kvm2",
        "PEM",
        lost=lost,
        instances=frozenset({NAMED} if has else ()),
        running=frozenset({SERVER} if runs else ()),
        leaving=frozenset({SERVER} if leaving else ()),
    )


def test_what_a_node_said_of_a_server() -> None:
    """Of another node under the same name, as of none, nothing is known."""
    assert standing(node(runs=True), HOME, SERVER) == RUNS
    assert standing(node(leaving=True), HOME, SERVER) == IN_TRANSIT
    assert standing(node(runs=True, lost=True), HOME, SERVER) == LOST
    assert standing(node(has=False), HOME, SERVER) == LEFT
    assert standing(node(runs=True), OTHER, SERVER) == standing(None, HOME, SERVER) == NO_NODE


def test_a_server_is_gone_that_left_or_stopped_or_leaves() -> None:
    """It may go on elsewhere; one that is still there, or came just now, is not gone."""
    assert gone(node(), node(has=False)) == [SERVER]
    assert gone(node(runs=True), node()) == [SERVER]
    assert gone(node(runs=True), node(has=False)) == [SERVER]
    assert gone(node(runs=True), node(runs=True, leaving=True)) == [SERVER]
    assert gone(node(runs=True), node(runs=True)) == []
    assert gone(node(), node(runs=True)) == []
    assert gone(node(has=False), node()) == []
