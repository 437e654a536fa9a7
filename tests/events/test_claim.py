"""Claims and the verdict: a sentence a rule, and what holds for every history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factories import event
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.claim import Claim, ended, opened
from sealward.events.comparison.measurement import Finding
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignValidated
from sealward.events.verdict import (
    UNSEALED,
    Verdict,
    at,
    claimed,
    differs,
    equal,
    recorded,
    unclaimed,
    vouched,
    withheld,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
FINDING = Finding("boot", "/domain/os/initrd", "/a", "/b")
CLAIM = Claim(3, "kvm3", "kvm2")
OTHER = Claim(4, "kvm4", "kvm2")


def moment(second: int) -> datetime:
    """Return the moment that many seconds after the start."""
    return START + timedelta(seconds=second)


TRUE = equal(UNSEALED, moment(0), moment(900))
FALSE = differs(TRUE, moment(1), (FINDING,))
LOST = withheld(TRUE, "node-lost", moment(1))


def stated_true(second: int) -> SignValidated:
    """Return a true of that second, as the log has it."""
    made = event(
        SignValidated,
        is_valid=IsValid.TRUE,
        reasons=(),
        findings=(),
        checked_at=moment(second),
        fresh_until=moment(second + 900),
    )
    assert isinstance(made, SignValidated)
    return made


def test_1_a_claim_turns_a_true_into_unknown_and_leaves_all_else() -> None:
    """A false stays false, an unknown keeps its reasons."""
    assert (claimed(TRUE, CLAIM).is_valid, claimed(TRUE, CLAIM).reasons) == (
        IsValid.UNKNOWN,
        ("claimed-twice",),
    )
    assert claimed(FALSE, CLAIM).is_valid is IsValid.FALSE
    assert claimed(LOST, CLAIM).reasons == ("node-lost",)


def test_2_while_a_claim_is_open_nothing_makes_a_true() -> None:
    """Neither a measurement nor a sweep, neither from unknown nor from false; a difference makes a false."""
    for verdict in (TRUE, FALSE, LOST):
        known = claimed(verdict, CLAIM)
        assert equal(known, moment(5), moment(900)) == known
        assert vouched(known, moment(5), moment(900)) == known
        assert recorded(known, stated_true(5)) == known
    assert differs(claimed(TRUE, CLAIM), moment(5), (FINDING,)).is_valid is IsValid.FALSE


def test_3_what_is_not_false_reads_as_claimed_twice_and_names_both_nodes() -> None:
    """Beside the reason that was there before; what is false reads as it did."""
    read = at(claimed(LOST, CLAIM), moment(9))

    assert (read.is_valid, read.reasons) == (IsValid.UNKNOWN, ("claimed-twice", "node-lost"))
    assert [(one.signed, one.found) for one in read.findings] == [("kvm2", "kvm3")]
    assert at(claimed(FALSE, CLAIM), moment(9)).findings == (FINDING,)


def test_4_after_the_last_claim_a_measurement_must_come() -> None:
    """What claims alone made unknown stays so until then; what was unknown before is as it was."""
    settled = unclaimed(claimed(TRUE, CLAIM), CLAIM.node_id)

    assert (settled.is_valid, settled.reasons) == (IsValid.UNKNOWN, ("claim-settled",))
    assert equal(settled, moment(5), moment(900)).is_valid is IsValid.TRUE
    assert unclaimed(claimed(LOST, CLAIM), CLAIM.node_id) == LOST
    assert unclaimed(claimed(FALSE, CLAIM), CLAIM.node_id) == FALSE
    assert claimed(settled, CLAIM).reasons == ("claimed-twice",)


def test_5_claims_of_several_nodes_are_open_beside_each_other() -> None:
    """One for each node: a second claim of the same node, or its denial, takes the place of the first."""
    both = claimed(claimed(TRUE, OTHER), CLAIM)

    assert [one.by for one in both.claims] == ["kvm3", "kvm4"]
    assert unclaimed(both, 3).reasons == ("claimed-twice",)
    assert opened(opened((), CLAIM), Claim(3, "kvm3", "kvm2", denied=True))[0].denied
    assert ended((CLAIM,), 4) == (CLAIM,)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["equal", "differs", "vouched", "withheld", "claimed", "unclaimed"]),
            st.integers(0, 60),
            st.sampled_from([CLAIM, OTHER]),
        )
    )
)
def test_no_history_of_claims_makes_a_true(steps: list[tuple[str, int, Claim]]) -> None:
    """While one is open nothing is true; and a false ends by an equal measurement with none open alone."""
    verdict: Verdict = TRUE
    for step, second, claim in steps:
        before = verdict
        match step:
            case "equal":
                verdict = equal(verdict, moment(second), moment(900))
            case "differs":
                verdict = differs(verdict, moment(second), (FINDING,))
            case "vouched":
                verdict = vouched(verdict, moment(second), moment(900))
            case "withheld":
                verdict = withheld(verdict, "node-lost", moment(second))
            case "claimed":
                verdict = claimed(verdict, claim)
            case "unclaimed":
                verdict = unclaimed(verdict, claim.node_id)
        assert not verdict.claims or at(verdict, moment(61)).is_valid is not IsValid.TRUE
        if before.is_valid is IsValid.FALSE and verdict.is_valid is not IsValid.FALSE:
            assert step == "equal"
            assert not before.claims
