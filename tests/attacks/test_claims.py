"""A node says that it runs the servers of others: it can make their verdicts unknown, and nothing else.

Row 5: another node's servers were claimed; references of others were read, signs drawn away, a false was
replayed into a true, forged measurements were sealed at the next PUT, and back home the honest node shut
down the untouched server.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from amounts import examples
from claimed import SERVER, Fleet
from door import NOW, SERVERS
from hypothesis import given, settings
from hypothesis import strategies as st

from sealward.commands import messages as ask
from sealward.commands.context import SYSTEM, RequestContext
from sealward.commands.moves.claim import OFTEN, WITHIN
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignClaimed, SignClaimSettled, SignLeaving, SignMoved, SignSealed
from sealward.intake.reports import following
from sealward.protocol.telling import Inquiry

MINUTE = timedelta(minutes=1)


@pytest.fixture
def fleet() -> Fleet:
    """Return the fleet, all of whose verdicts are true."""
    made = Fleet()
    assert {made.verdict(one).is_valid for one in SERVERS} == {IsValid.TRUE}
    return made


def _is_claimed(fleet: Fleet) -> bool:
    """Say whether the verdict is unknown and names both nodes, and the sign is where it was."""
    verdict = fleet.verdict(SERVER)
    named = [(one.signed, one.found) for one in verdict.findings]
    assert fleet.sign(SERVER).node_id == fleet.home.node_id
    return (verdict.is_valid, verdict.reasons, named) == (
        IsValid.UNKNOWN,
        ("claimed-twice",),
        [("kvm1", "kvm2")],
    )


def test_a_running_server_is_claimed(fleet: Fleet) -> None:
    """The sign stays, the verdict is unknown and names both; that is recorded once, however often said."""
    for _ in range(3):
        fleet.claim()

    assert _is_claimed(fleet)
    assert [one.denied for one in fleet.log() if isinstance(one, SignClaimed)] == [False, True]
    assert fleet.kinds(SignMoved) == []


def test_a_server_that_is_switched_off_is_claimed(fleet: Fleet) -> None:
    """Its home still has it."""
    fleet.say(fleet.home.inventory(*SERVERS, running=()))
    fleet.claim()

    assert _is_claimed(fleet)


def test_the_server_of_a_lost_node_is_claimed(fleet: Fleet) -> None:
    """Nobody is there to contradict; only an administrator or a policy can move the sign then."""
    fleet.handler.handle(ask.LoseNode(context=SYSTEM, hostname="kvm1"))
    fleet.claim()
    verdict = fleet.verdict(SERVER)

    assert (verdict.is_valid, verdict.reasons) == (IsValid.UNKNOWN, ("claimed-twice", "node-lost"))
    assert fleet.sign(SERVER).node_id == fleet.home.node_id
    assert fleet.kinds(SignMoved) == []


def test_the_server_of_a_node_that_was_removed_is_claimed(fleet: Fleet) -> None:
    """Removed in the moment in which it was signed: its name under another id is another node."""
    fleet.handler.handle(
        ask.RemoveNode(context=RequestContext(actor="user:admin"), hostname="kvm1", signed=())
    )
    fleet.claim()

    assert fleet.sign(SERVER).node_id == fleet.home.node_id
    assert fleet.kinds(SignMoved) == []


def test_what_the_liar_measures_is_refused(fleet: Fleet) -> None:
    """Before and after it claims; equal or not."""
    before = fleet.measure(fleet.liar)
    fleet.claim()
    after = [*fleet.measure(fleet.liar), *fleet.measure(fleet.liar, disk="other")]

    assert {*before, *after} == {"report.wrong-node"}
    assert _is_claimed(fleet)


def test_a_false_is_not_replayed_into_a_true_through_a_claim(fleet: Fleet) -> None:
    """Neither by the liar's measurement, nor by its withdrawing, nor by its home while the claim is open."""
    fleet.measure(fleet.home, disk="other")
    fleet.claim()
    fleet.measure(fleet.liar)
    fleet.measure(fleet.home)
    fleet.say(fleet.home.swept(fleet.now, "1-3"))
    claimed = fleet.verdict(SERVER)
    fleet.say(fleet.liar.inventory(running=()))

    assert (claimed.is_valid, claimed.reasons) == (IsValid.FALSE, ("measurement-differs",))
    assert fleet.verdict(SERVER).is_valid is IsValid.FALSE
    fleet.measure(fleet.home)
    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE


def test_a_change_that_is_found_while_a_claim_is_open_is_false(fleet: Fleet) -> None:
    """A claim hides nothing that its home proves."""
    fleet.claim()
    fleet.measure(fleet.home, disk="other")

    assert fleet.verdict(SERVER).is_valid is IsValid.FALSE


def test_a_forged_measurement_is_not_sealed_at_the_next_put(fleet: Fleet) -> None:
    """Nor is the home's while the claim is open; afterwards the home's is."""
    fleet.claim()
    fleet.handler.handle(
        ask.UpdateSign(context=RequestContext(actor="user:admin", task_id="t-2"), server_id=SERVER)
    )
    forged = fleet.measure(fleet.liar, generation=2, disk="evil", cause="sealed")
    assert fleet.measure(fleet.home, generation=2, cause="sealed", task_id="t-2") == [None]
    sealed = [one.generation for one in fleet.log() if isinstance(one, SignSealed)]
    with fleet.rows() as (projections, tables):
        task = projections.tasks.one(tables, "t-2")
    fleet.say(fleet.liar.inventory(running=()))
    fleet.measure(fleet.home, generation=2, cause="sealed", task_id="t-2")

    assert forged == ["report.wrong-node"]
    assert sealed == [1, 1, 1]
    assert task is not None
    assert (task.state, (task.result or {})["reasons"]) == ("RETRY", ["claimed-twice"])
    assert fleet.sign(SERVER).sealed == 2
    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE


def test_no_sweep_vouches_for_what_is_claimed(fleet: Fleet) -> None:
    """Also not later, when it is swept again; the other servers are vouched for."""
    fleet.claim()
    for _ in range(3):
        fleet.now += MINUTE
        fleet.say(fleet.home.swept(fleet.now, "1-3"))

    assert _is_claimed(fleet)
    assert fleet.verdict(SERVERS[1]).is_valid is IsValid.TRUE


def test_a_claim_that_is_withdrawn_gives_back_what_was_known_once_it_is_measured(fleet: Fleet) -> None:
    """Not before: meanwhile nobody knows what happened."""
    fleet.claim()
    fleet.say(fleet.liar.inventory(running=()))
    settled = fleet.verdict(SERVER)
    fleet.measure(fleet.home)

    assert (settled.is_valid, settled.reasons) == (IsValid.UNKNOWN, ("claim-settled",))
    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE
    assert fleet.kinds(SignClaimed, SignClaimSettled) == [SignClaimed, SignClaimed, SignClaimSettled]


def test_an_order_to_validate_is_answered_unknown(fleet: Fleet) -> None:
    """The home measured it, and equal; nobody knows whether that server is the one that runs."""
    fleet.claim()
    order = ask.RequestValidation(context=RequestContext(actor="user:admin", task_id="t-3"), server_id=SERVER)
    fleet.handler.handle(order)
    fleet.measure(fleet.home, task_id="t-3", cause="requested")
    with fleet.rows() as (projections, tables):
        task = projections.tasks.one(tables, "t-3")

    assert task is not None
    assert (task.state, task.result) == (
        "FAILURE",
        {"server_id": SERVER, "is_valid": "unknown", "reasons": ["claimed-twice"]},
    )


def test_who_claimed_a_server_does_not_get_it_when_it_leaves(fleet: Fleet) -> None:
    """Its home has denied the claim: that the server is gone from there does not make it true."""
    fleet.claim()
    fleet.say(fleet.home.inventory(*SERVERS[1:], running=SERVERS[1:]))
    fleet.say(fleet.liar.inventory(SERVER, running=[SERVER]))
    stays = fleet.sign(SERVER).node_id
    fleet.say(fleet.third.inventory(SERVER, running=[SERVER]))

    assert stays == fleet.home.node_id
    assert fleet.sign(SERVER).node_id == fleet.third.node_id


def test_a_claim_is_denied_by_what_the_home_goes_on_saying(fleet: Fleet) -> None:
    """Where the question whether it leaves was lost: its inventories say that it is there."""
    fleet.say(fleet.liar.inventory(SERVER, running=[SERVER]))
    fleet.inquiries("kvm1")
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS))
    early = fleet.verdict(SERVER).claims
    fleet.now += following.DENIED_AFTER
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS))

    assert [one.denied for one in (*early, *fleet.verdict(SERVER).claims)] == [False, True]


def test_two_liars_are_both_named(fleet: Fleet) -> None:
    """The verdict is unknown until neither claims the server."""
    fleet.claim(fleet.liar)
    fleet.claim(fleet.third)
    both = [one.found for one in fleet.verdict(SERVER).findings]
    fleet.say(fleet.liar.inventory(running=()))
    one = fleet.verdict(SERVER)
    fleet.say(fleet.third.inventory(running=()))
    fleet.measure(fleet.home)

    assert both == ["kvm2", "kvm3"]
    assert (one.is_valid, [found.found for found in one.findings]) == (IsValid.UNKNOWN, ["kvm3"])
    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE


def test_of_two_that_say_they_got_a_server_neither_does(fleet: Fleet) -> None:
    """It has left its home, and nobody knows where to: unknown, until only one of them says so."""
    fleet.say(fleet.liar.inventory(SERVER, running=()), fleet.third.inventory(SERVER, running=()))
    fleet.say(fleet.home.inventory(*SERVERS[1:], running=SERVERS[1:]))
    stays = fleet.sign(SERVER).node_id
    fleet.say(fleet.liar.inventory(running=()))

    assert stays == fleet.home.node_id
    assert fleet.sign(SERVER).node_id == fleet.third.node_id


def test_a_liar_that_goes_to_and_fro_makes_few_events(fleet: Fleet) -> None:
    """After three claims the last one stands for a while; then it ends with the next inventory of either."""
    for _ in range(50):
        fleet.claim()
        fleet.say(fleet.liar.inventory(running=()))
    events = len(fleet.kinds(SignClaimed, SignClaimSettled))
    stands = _is_claimed(fleet)
    fleet.now += WITHIN
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS))

    assert events == 3 * OFTEN - 1
    assert stands
    assert fleet.verdict(SERVER).reasons == ("claim-settled",)


def test_a_liar_claims_only_so_many_servers_a_minute(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it claims beyond that is claimed when it says so again."""
    monkeypatch.setattr(following, "MOST_CLAIMS", 2)
    fleet.claim(None, *SERVERS)
    first = [one.verdict.claims for one in map(fleet.sign, SERVERS)]
    fleet.now += MINUTE
    fleet.claim(None, *SERVERS)

    assert [len(one) for one in first] == [1, 1, 0]
    assert [len(fleet.sign(one).verdict.claims) for one in SERVERS] == [1, 1, 1]


def test_the_claim_of_a_node_that_is_removed_ends(fleet: Fleet) -> None:
    """With the next inventory of the home."""
    fleet.claim()
    fleet.handler.handle(
        ask.RemoveNode(context=RequestContext(actor="user:admin"), hostname="kvm2", signed=())
    )
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS))
    fleet.measure(fleet.home)

    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_no_order_of_words_draws_a_sign(fleet: Fleet, order: tuple[int, ...]) -> None:
    """Claiming, asking, measuring and answering in the home's place, in any order."""
    guess = Inquiry(SERVER, "nonce-0")
    steps = (
        lambda: fleet.take(fleet.liar.inventory(SERVER, running=[SERVER], leaving=[SERVER])),
        lambda: fleet.take(fleet.liar.wanted(SERVER)),
        lambda: fleet.measure(fleet.liar, disk="evil"),
        lambda: fleet.take(fleet.liar.leaving(guess, NOW)),
    )
    for number in order:
        steps[number]()
    for one in fleet.inquiries("kvm1"):
        fleet.say(fleet.home.leaving(one, fleet.now, leaving=False))

    assert fleet.sign(SERVER).node_id == fleet.home.node_id
    assert fleet.verdict(SERVER).is_valid is not IsValid.FALSE
    assert fleet.kinds(SignMoved, SignLeaving) == []
    assert [one for one in fleet.given() if one[2]] == []


STEPS: dict[str, Callable[[Fleet], object]] = {
    "claim": lambda fleet: fleet.take(fleet.liar.inventory(SERVER, running=[SERVER])),
    "withdraw": lambda fleet: fleet.take(fleet.liar.inventory(running=())),
    "ask": lambda fleet: fleet.take(fleet.liar.wanted(SERVER)),
    "forge": lambda fleet: fleet.measure(fleet.liar, disk="evil"),
    "the home has it": lambda fleet: fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS)),
    "the home measures": lambda fleet: fleet.measure(fleet.home),
    "the home sweeps": lambda fleet: fleet.say(fleet.home.swept(fleet.now, "1-3")),
    "the home denies": lambda fleet: [
        fleet.take(fleet.home.leaving(one, fleet.now, leaving=False)) for one in fleet.inquiries("kvm1")
    ],
}


@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=10))
def test_no_interleaving_of_a_home_and_a_liar_draws_a_sign(steps: list[str]) -> None:
    """In any order: the sign stays, no reference goes out, and what is claimed is not true."""
    fleet = Fleet()
    for step in steps:
        STEPS[step](fleet)
        verdict = fleet.verdict(SERVER)
        assert fleet.sign(SERVER).node_id == fleet.home.node_id
        assert verdict.is_valid is not IsValid.FALSE
        assert not verdict.claims or verdict.is_valid is IsValid.UNKNOWN
        assert [one for one in fleet.given() if one[2]] == []
