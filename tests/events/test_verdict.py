"""The verdict's rules, one test each, and what holds for every history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from factories import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace as changed

from sealward.events.comparison.files import Listing
from sealward.events.comparison.measurement import BEING_MEASURED, Finding, Measurement
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignValidated
from sealward.events.verdict import (
    UNSEALED,
    Verdict,
    at,
    differs,
    equal,
    held,
    judged,
    recorded,
    vouched,
    withheld,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
FINDING = Finding("boot", "/domain/os/initrd", "/a", "/b")


def moment(second: int) -> datetime:
    """Return the moment that many seconds after the start."""
    return START + timedelta(seconds=second)


def true_at(second: int) -> Verdict:
    """Return the verdict of a server sealed at that second; it is fresh for a minute."""
    return equal(UNSEALED, moment(second), moment(second + 60))


def false_at(second: int) -> Verdict:
    """Return the verdict of a server sealed at the start and found changed at that second."""
    return differs(true_at(0), moment(second), (FINDING,))


def test_1_unsealed_is_unknown_and_only_a_measurement_changes_that() -> None:
    """Neither vouching nor withholding touches what was never sealed."""
    touched = vouched(withheld(UNSEALED, "node-lost", moment(1)), moment(2), moment(60))

    assert (touched.is_valid, touched.reasons) == (IsValid.UNKNOWN, ("not-sealed",))
    assert equal(touched, moment(3), moment(60)).is_valid is IsValid.TRUE


def test_1_why_a_server_is_not_sealed_stays_when_it_is_validated() -> None:
    """A request to validate says no more than that it is not sealed; another reason takes its place."""
    unsealed = recorded(UNSEALED, stated(IsValid.UNKNOWN, 1, ("network-disk",)))
    asked = recorded(unsealed, stated(IsValid.UNKNOWN, 2, ("not-sealed",)))

    assert asked.reasons == ("not-sealed", "network-disk")
    assert recorded(asked, stated(IsValid.UNKNOWN, 3, ("file-missing",))).reasons == (
        "not-sealed",
        "file-missing",
    )


def test_2_equal_makes_true_until_fresh_until() -> None:
    """A measurement equal to the reference also ends a false."""
    assert true_at(5).is_valid is IsValid.TRUE
    assert equal(false_at(5), moment(6), moment(66)) == true_at(6)


def test_3_a_difference_makes_false_with_findings() -> None:
    """A false says what was found."""
    assert (false_at(5).is_valid, false_at(5).findings) == (IsValid.FALSE, (FINDING,))


def test_4_freshness_runs_out_by_itself() -> None:
    """A true is unknown from `fresh_until` on; a false never goes stale."""
    assert at(true_at(0), moment(59)).is_valid is IsValid.TRUE
    assert at(true_at(0), moment(60)).reasons == ("stale",)
    assert at(false_at(5), moment(10_000)).is_valid is IsValid.FALSE


def test_5_withholding_turns_true_into_unknown_with_the_reason() -> None:
    """Unreachable is not violated, and not innocent either."""
    lost = withheld(true_at(0), "node-lost", moment(5))

    assert (lost.is_valid, lost.reasons) == (IsValid.UNKNOWN, ("node-lost",))


def test_6_false_is_never_laundered() -> None:
    """Silence, deactivation and sweeps leave a false as it is."""
    touched = vouched(withheld(false_at(5), "node-deactivated", moment(6)), moment(7), moment(67))

    assert touched.is_valid is IsValid.FALSE
    assert touched.findings == (FINDING,)


def test_7_vouching_prolongs_and_restores() -> None:
    """A sweep that began after the withholding restores; one that began before does not."""
    lost = withheld(true_at(0), "node-lost", moment(5))

    assert vouched(true_at(0), moment(9), moment(69)).fresh_until == moment(69)
    assert vouched(lost, moment(6), moment(66)).is_valid is IsValid.TRUE
    assert vouched(lost, moment(4), moment(64)) == lost


def test_8_what_is_late_changes_nothing() -> None:
    """A replayed equal does not launder, and a replayed difference does not accuse."""
    assert equal(false_at(5), moment(4), moment(64)) == false_at(5)
    assert differs(true_at(5), moment(4), (FINDING,)) == true_at(5)
    assert differs(true_at(5), moment(5), (FINDING,)) == true_at(5)
    assert withheld(true_at(5), "node-lost", moment(4)) == true_at(5)
    assert withheld(true_at(5), "node-lost", moment(5)).is_valid is IsValid.UNKNOWN


def test_8_an_older_true_shortens_none() -> None:
    """It comes late, perhaps once more, and a sweep has vouched since; where it ends a false it counts."""
    since = vouched(true_at(1), moment(9), moment(69))

    longer = vouched(true_at(1), moment(9), moment(99))

    assert recorded(since, stated(IsValid.TRUE, 4)) == since
    assert recorded(longer, stated(IsValid.TRUE, 9)) == longer
    assert recorded(false_at(5), stated(IsValid.TRUE, 6)).checked_at == moment(6)


def judge(found: Measurement, findings: tuple[Finding, ...] = (), section: str = "boot") -> Verdict:
    """Judge a measurement of a server that was true, against a reference of one section."""
    reference = Measurement("p/1", {section: "aa"}, {}, "libvirt 9.0.0")
    return judged(
        true_at(0), reference, found, findings=findings, checked_at=moment(5), fresh_until=moment(65)
    )


def test_9_what_a_libvirt_upgrade_may_have_made_is_unknown_not_false() -> None:
    """What libvirt never rewrites is false under any libvirt; what is equal all the same is true."""
    cpu = Measurement("p/1", {"cpu": "bb"}, {}, "libvirt 10.0.0")

    assert judge(cpu, section="cpu").reasons == ("profile-changed",)
    assert judge(Measurement("p/1", {"boot": "bb"}, {}, "libvirt 10.0.0")).is_valid is IsValid.FALSE
    assert judge(Measurement("p/2", {"boot": "bb"}, {}, "libvirt 9.0.0")).reasons == ("profile-changed",)
    assert judge(Measurement("p/1", {"boot": "aa"}, {}, "libvirt 10.0.0")).is_valid is IsValid.TRUE


def test_11_a_file_that_could_not_be_read_makes_a_true_unknown_and_hides_no_difference() -> None:
    """The reason is that file's; what is proven to differ beside it is false; a false stays false."""
    unread = {
        "config": Listing({"kernel/1": "k"}, {"kernel/1:content": "file-unreadable", "x": BEING_MEASURED})
    }
    signed = {"config": Listing({"kernel/1": "k", "kernel/1:content": "c", "x": "x"})}
    reference = Measurement("p/1", {"boot": "aa", "files": "ff"}, {}, "libvirt 9.0.0", files=signed)
    found = replace(reference, sections={"boot": "aa", "files": "gg"}, files=unread)
    evil = replace(found, sections={"boot": "bb", "files": "gg"})

    def judged_from(verdict: Verdict, one: Measurement) -> Verdict:
        return judged(verdict, reference, one, findings=(), checked_at=moment(6), fresh_until=moment(66))

    assert judged_from(true_at(0), found).reasons == ("file-unreadable",)
    assert judged_from(true_at(0), evil).is_valid is IsValid.FALSE
    assert [one.section for one in judged_from(true_at(0), evil).findings] == ["boot"]
    assert judged_from(false_at(5), found).is_valid is IsValid.FALSE


def stated(is_valid: IsValid, second: int, reasons: tuple[str, ...] = ()) -> SignValidated:
    """Return a verdict as the log has it, measured at that second."""
    findings = (FINDING,) if is_valid is IsValid.FALSE else ()
    made = event(
        SignValidated,
        is_valid=is_valid,
        reasons=reasons,
        findings=findings,
        checked_at=moment(second),
        fresh_until=moment(second + 60),
    )
    assert isinstance(made, SignValidated)
    return made


def test_13_a_false_that_is_held_keeps_what_was_found_and_says_why() -> None:
    """It is dated with the look that found the difference; a difference that is found later is news."""
    false = differs(equal(UNSEALED, moment(1), moment(9)), moment(2), (FINDING,))
    stands = held(false)

    assert stands == changed(false, reasons=("measurement-differs", "false-before-move"))
    assert held(stands) == stands
    assert differs(stands, moment(3), (FINDING,)).reasons == ("measurement-differs",)


def test_14_whatever_else_is_found_is_news() -> None:
    """Two measurements that no finding tells apart give two verdicts; put back, nothing of it is left."""
    reference = Measurement("libvirt-domain/2", {"boot": "aa"}, {}, "libvirt 9.0.0")
    first, second = (replace(reference, sections={"boot": one}) for one in ("bb", "cc"))

    def after(verdict: Verdict, found: Measurement, at_second: int) -> Verdict:
        return judged(
            verdict,
            reference,
            found,
            findings=(FINDING,),
            checked_at=moment(at_second),
            fresh_until=moment(99),
        )

    false = after(true_at(0), first, 5)
    still = after(false, second, 6)

    assert still.findings == false.findings
    assert still.fingerprint not in {"", false.fingerprint}
    assert after(still, reference, 7).fingerprint == ""


def test_15_a_taint_makes_false_for_a_reason_of_its_own() -> None:
    """Alone it is the reason; beside another difference it is one of two; signed along it is none."""
    reference = Measurement("libvirt-domain/2", {"boot": "aa"}, {}, "libvirt 9.0.0", taints=())
    tainted = replace(reference, taints=("custom-monitor",))
    changed = replace(tainted, sections={"boot": "bb"})

    def after(signed: Measurement, found: Measurement) -> Verdict:
        return judged(true_at(0), signed, found, findings=(), checked_at=moment(5), fresh_until=moment(65))

    assert after(reference, tainted).reasons == ("tainted",)
    assert [one.found for one in after(reference, tainted).findings] == ["custom-monitor"]
    assert after(reference, changed).reasons == ("measurement-differs", "tainted")
    assert after(tainted, tainted).is_valid is IsValid.TRUE
    assert after(tainted, reference).is_valid is IsValid.TRUE


def test_10_a_true_from_before_its_node_was_lost_comes_too_late() -> None:
    """Nobody vouches for it any more; a false from then is one, and what is measured later counts."""
    lost = withheld(true_at(0), "node-lost", moment(5))
    late = recorded(lost, stated(IsValid.TRUE, 4))

    assert (late.is_valid, late.reasons) == (IsValid.UNKNOWN, ("node-lost",))
    assert recorded(lost, stated(IsValid.TRUE, 5)).is_valid is IsValid.UNKNOWN
    assert recorded(lost, stated(IsValid.FALSE, 4)).is_valid is IsValid.FALSE
    assert recorded(late, stated(IsValid.TRUE, 6)).is_valid is IsValid.TRUE


def test_the_digests_decide_and_the_findings_explain() -> None:
    """A difference that nobody explained is still one; an explanation of no difference is none."""
    unexplained = judge(Measurement("p/1", {"boot": "bb"}, {}, "libvirt 9.0.0"))
    elsewhere = Finding("cpu", "/domain/cpu", "a", "b")

    assert unexplained.findings == (Finding("boot", "/domain", "aa", "bb"),)
    assert judge(Measurement("p/1", {"boot": "aa"}, {}, "libvirt 9.0.0"), (elsewhere,)) == true_at(5)
    assert judge(Measurement("p/1", {"boot": "bb"}, {}, "libvirt 9.0.0"), (elsewhere, FINDING)).findings == (
        FINDING,
    )


class VerdictHistories(RuleBasedStateMachine):
    """For every history: true only by an equal measurement, false only ended by one."""

    def __init__(self) -> None:
        """Begin before the first seal."""
        super().__init__()
        self.verdict = UNSEALED
        self.previous = UNSEALED
        self.sealed = False
        self.last = ""

    def step(self, name: str, verdict: Verdict) -> None:
        """Remember what was done and what came of it."""
        self.previous, self.verdict, self.last = self.verdict, verdict, name

    @rule(second=st.integers(0, 50))
    def measured_equal(self, second: int) -> None:
        """A measurement equals the reference."""
        self.sealed = True
        self.step("equal", equal(self.verdict, moment(second), moment(second + 5)))

    @rule(second=st.integers(0, 50))
    def measured_different(self, second: int) -> None:
        """A measurement differs from the reference; before the seal there is none to differ from."""
        if self.sealed:
            self.step("differs", differs(self.verdict, moment(second), (FINDING,)))

    @rule(second=st.integers(0, 50))
    def withhold(self, second: int) -> None:
        """Trust is withdrawn."""
        self.step("withheld", withheld(self.verdict, "node-lost", moment(second)))

    @rule(second=st.integers(0, 50))
    def vouch(self, second: int) -> None:
        """A sweep vouches."""
        self.step("vouched", vouched(self.verdict, moment(second), moment(second + 5)))

    @invariant()
    def only_an_equal_measurement_ends_a_false(self) -> None:
        """Rule 6, after any history."""
        if self.previous.is_valid is IsValid.FALSE and self.verdict.is_valid is not IsValid.FALSE:
            assert self.last == "equal"

    @invariant()
    def true_needs_a_seal_a_measurement_and_no_later_withholding(self) -> None:
        """Rules 1, 5 and 8, after any history."""
        if self.verdict.is_valid is IsValid.TRUE:
            assert self.sealed
            assert self.verdict.checked_at > self.verdict.withheld_at

    @invariant()
    def time_never_runs_backwards(self) -> None:
        """What counted last is never older than what counted before."""
        assert self.verdict.checked_at >= self.previous.checked_at
        assert self.verdict.withheld_at >= self.previous.withheld_at

    @invariant()
    def false_always_says_what(self) -> None:
        """A false without findings cannot be; a true has none."""
        assert bool(self.verdict.findings) == (self.verdict.is_valid is IsValid.FALSE)


TestVerdictHistories = VerdictHistories.TestCase
