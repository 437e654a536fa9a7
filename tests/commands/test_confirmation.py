"""What an administrator has not confirmed of a sign that moved by itself: a sentence a rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from sign_life import ASK, CHANGED, NOW, SIGNED, created, play, report, sealed

from sealward.commands import sign as decider
from sealward.commands.context import RequestContext
from sealward.commands.errors import PlaceUnconfirmed
from sealward.commands.messages import MoveSign, UpdateSign
from sealward.commands.moves import location
from sealward.commands.sign_state import Sign, evolve
from sealward.events.is_valid import IsValid
from sealward.events.sign import Grounds, SignSealed, SignValidated

HOME, OTHER, THIRD = 2, 3, 4
BY_ITSELF = (Grounds.ANNOUNCED, Grounds.LEFT, Grounds.POLICY)
HELD = ("measurement-differs", "false-before-move")


def violated() -> Sign:
    """Return a sign in force whose server differs."""
    sign = play(sealed(), report(sealed(), CHANGED, 2))
    assert sign is not None
    assert sign.verdict.is_valid is IsValid.FALSE
    return sign


def moved(sign: Sign, grounds: Grounds, to: int = OTHER) -> Sign:
    """Return the sign on another node."""
    command = MoveSign(
        context=RequestContext(actor=f"node:kvm{to}"),
        server_id=sign.server_id,
        node_id=to,
        hostname=f"kvm{to}",
        instance_name="i",
        grounds=grounds,
    )
    made = play(sign, location.move_sign(sign, command, now=NOW + timedelta(seconds=3)))
    assert made is not None
    return made


def equal(sign: Sign, second: int = 10, task_id: str | None = None) -> Sign:
    """Return the sign after its node has measured it as it was signed."""
    node_id = sign.node_id
    made = play(sign, report(sign, SIGNED, second, generation=sign.sealed, node_id=node_id, task_id=task_id))
    assert made is not None
    return made


def ordered(sign: Sign, node_id: int | None = None) -> Sign:
    """Return the sign after an administrator's order to sign anew."""
    order = UpdateSign(
        **ASK | {"context": RequestContext(actor="user:admin", task_id="t-2")}, node_id=node_id
    )
    made = play(sign, decider.update_sign(sign, order, now=NOW + timedelta(seconds=5)))
    assert made is not None
    return made


@pytest.mark.parametrize("grounds", BY_ITSELF)
def test_1_a_false_stays_false_on_the_new_node(grounds: Grounds) -> None:
    """The event that says so dates from the look that found the difference, and is recorded once."""
    sign = moved(violated(), grounds)
    (said,) = report(sign, SIGNED, 10, node_id=OTHER)
    after = equal(sign)

    assert isinstance(said, SignValidated)
    assert (said.is_valid, said.reasons, said.findings) == (
        IsValid.FALSE,
        HELD,
        violated().verdict.findings,
    )
    assert said.checked_at == violated().verdict.checked_at
    assert report(after, SIGNED, 20, node_id=OTHER) == []
    assert equal(after, 20, "t-9").verdict.is_valid is IsValid.FALSE


@pytest.mark.parametrize("grounds", BY_ITSELF)
def test_1_what_the_new_node_has_found_itself_it_may_take_back(grounds: Grounds) -> None:
    """As on any node: the server was true when its sign moved."""
    sign = moved(sealed(), grounds)
    differs = play(sign, report(sign, CHANGED, 10, node_id=OTHER))

    assert differs is not None
    assert differs.verdict.is_valid is IsValid.FALSE
    assert equal(differs, 20).verdict.is_valid is IsValid.TRUE


@pytest.mark.parametrize("grounds", [Grounds.LEFT, Grounds.POLICY])
@pytest.mark.parametrize("was_sealed", [True, False])
def test_2_nothing_is_sealed_for_an_order_of_before_the_move(grounds: Grounds, was_sealed: bool) -> None:  # noqa: FBT001 - a parameter
    """The task is answered, once."""
    sign = moved(ordered(sealed()) if was_sealed else created(), grounds)
    (said,) = report(sign, CHANGED, 10, generation=sign.ordered, node_id=OTHER, task_id=sign.ordered_task)
    after = evolve(sign, said)

    assert isinstance(said, SignValidated)
    assert (said.is_valid, said.reasons[-1]) == (IsValid.UNKNOWN, "place-unconfirmed")
    assert after is not None
    assert report(after, CHANGED, 11, generation=sign.ordered, node_id=OTHER, task_id=sign.ordered_task) == []


def test_2_after_a_migration_that_the_home_announced_it_is_sealed() -> None:
    """The home has said where the server goes."""
    sign = moved(ordered(sealed()), Grounds.ANNOUNCED)
    seal, _ = report(sign, CHANGED, 10, generation=2, node_id=OTHER)

    assert isinstance(seal, SignSealed)


@pytest.mark.parametrize("grounds", [Grounds.LEFT, Grounds.POLICY])
def test_3_a_new_order_names_the_node(grounds: Grounds) -> None:
    """A client that names no node is told the sign's node; that node may seal an order that names it."""
    sign = moved(sealed(), grounds)
    for named in (None, HOME, THIRD):
        with pytest.raises(PlaceUnconfirmed, match=r"on node 3 \(kvm3\)"):
            ordered(sign, named)
    seal, _ = report(ordered(sign, OTHER), CHANGED, 10, generation=2, node_id=OTHER)

    assert isinstance(seal, SignSealed)


def test_3_an_order_that_names_another_node_is_refused_in_any_case() -> None:
    """Its giver is wrong about where the server is."""
    with pytest.raises(PlaceUnconfirmed):
        ordered(sealed(), OTHER)
    assert ordered(sealed(), HOME).ordered == 2
    assert ordered(moved(sealed(), Grounds.ANNOUNCED)).ordered == 2


@pytest.mark.parametrize("second", BY_ITSELF)
def test_4_a_later_move_by_itself_ends_nothing(second: Grounds) -> None:
    """Also back to the node where it was false."""
    sign = moved(moved(violated(), Grounds.LEFT), second, HOME)

    assert equal(sign).verdict.reasons == HELD
    with pytest.raises(PlaceUnconfirmed):
        ordered(sign)


def test_5_a_seal_or_an_administrators_order_to_move_ends_it() -> None:
    """An order to sign does not yet: what is in force was false."""
    sign = moved(violated(), Grounds.LEFT)
    waits = ordered(sign, OTHER)
    resealed = play(waits, report(waits, CHANGED, 10, generation=2, node_id=OTHER))
    back = moved(sign, Grounds.ORDERED, HOME)

    assert equal(waits).verdict.is_valid is IsValid.FALSE
    assert resealed is not None
    assert resealed.verdict.is_valid is IsValid.TRUE
    assert equal(back).verdict.is_valid is IsValid.TRUE
    assert ordered(resealed).ordered == 3
    assert ordered(back).ordered == 2


def test_what_was_false_is_not_sealed_as_merely_in_doubt() -> None:
    """That order is for servers in which nothing has changed but what an upgrade makes."""
    sign = moved(violated(), Grounds.ANNOUNCED)
    in_doubt = changed(sign, ordered=2, is_order_in_doubt=True, ordered_task="t-2")
    (said,) = report(in_doubt, SIGNED, 10, generation=2, node_id=OTHER, task_id="t-2")

    assert isinstance(said, SignValidated)
    assert said.reasons == ("place-unconfirmed",)
    after = evolve(in_doubt, said)
    assert after is not None
    assert (after.verdict.is_valid, after.sealed) == (IsValid.FALSE, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(BY_ITSELF), st.sampled_from((HOME, OTHER, THIRD)), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_no_history_of_moves_makes_a_true_of_a_false(moves: list[tuple[Grounds, int, bool]]) -> None:
    """For any number of moves, to any node, and for all measurements."""
    sign, stays = violated(), False
    for number, (grounds, to, differs) in enumerate(moves):
        if to != sign.node_id:
            stays = stays or sign.verdict.is_valid is IsValid.FALSE
            sign = moved(sign, grounds, to)
        found = CHANGED if differs else SIGNED
        after = play(sign, report(sign, found, 10 + number, node_id=sign.node_id))
        assert after is not None
        sign = after
        assert sign.verdict.is_valid is IsValid.FALSE or not stays


def test_a_log_of_before_is_read_as_it_was_recorded() -> None:
    """A true that was recorded on a new node stands; what is found different later may turn true again."""
    sign = moved(violated(), Grounds.LEFT)
    (said,) = report(sign, SIGNED, 10, node_id=OTHER)
    assert isinstance(said, SignValidated)
    before = replace(said, is_valid=IsValid.TRUE, reasons=(), findings=(), checked_at=said.timestamp)
    stands = evolve(sign, before)

    assert stands is not None
    assert stands.verdict.is_valid is IsValid.TRUE
    assert not stands.unconfirmed.was_false
