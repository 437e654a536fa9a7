"""The verdict on a signed server: a state machine without I/O, clock or store.

Rules, each with a test of its name in tests/events/test_verdict.py:

1. Before the first seal a verdict is unknown ("not-sealed", and why the node could not seal the server), and
   only a measurement changes that. A repeated "not-sealed" keeps the known reason.
2. A measurement equal to the reference makes it true, until `fresh_until`.
3. A measurement that differs makes it false, with the differences as findings. Host-bound parts differ by the
   rules of `events.comparison.binding`.
4. Freshness runs out by itself: a true read at `fresh_until` or later is unknown ("stale").
5. Withholding (node lost or deactivated, server or libvirt gone) turns a true into unknown with the reason.
6. A false stays false through withholding and vouching; only a measurement equal to a reference ends it.
7. Vouching (a sweep found the server equal) prolongs a true, and restores a true that was withheld before the
   sweep began. Vouching never turns a false, or the verdict on a server that was not sealed, into a true.
8. Late news changes nothing: a measurement, vouching or withholding that is older than the verdict's latest
   is ignored. Of a withholding and a measurement at the same moment the withholding wins.
9. A measurement whose differences are in doubt (`events.comparison.doubt`: a libvirt upgrade may have made
   them) makes a true unknown ("profile-changed"). Any other difference makes the verdict false, under every
   version of libvirt. A measurement without a difference also makes a true unknown ("profile-changed") if its
   reference is of an earlier profile and leaves a section undecided (`events.comparison.remeasured`).
10. A true that was measured before its node was lost, and recorded after, is withheld, because no node
   vouches for the server any more. For other withholdings the two times are not compared: the node itself
   reports them or reports after them, and the control plane's clock dates the record, the node's clock the
   measurement.
11. A measurement in which files could not be read makes a true unknown, with the reason why they could not be
   read, if all parts that were read are as signed. If any of these parts differs, the verdict is false (rule
   3).
12. While another node claims the server, no verdict becomes true, and a verdict that is not false reads as
   unknown ("claimed-twice"); see `events.claim`.
13. A server that was false when its sign moved by itself stays false on its new node, even if it measures
   equal there ("false-before-move"): only a seal, or an administrator's order to move the sign, ends that.
14. Each further difference of a server that is false, or in doubt, is news: the verdict has the fingerprint
   of the whole measurement. Findings alone can be masked or cut.
15. A taint of a running server makes the verdict false ("tainted"), unless the server had the taint when it
   was signed.
16. A measurement without the identity of a device that was signed with an identity makes a true unknown
   ("device-not-identified"), if nothing differs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sealward.events.claim import Claim, ended, opened
from sealward.events.comparison.binding import AS_SIGNED, is_in_doubt, lost, unexplained
from sealward.events.comparison.devices import LOST
from sealward.events.comparison.doubt import in_doubt
from sealward.events.comparison.measurement import LIVE, Finding, differing
from sealward.events.comparison.taint import TAINT
from sealward.events.findings.coding import all_coded
from sealward.events.is_valid import IsValid
from sealward.events.verdict_reason import VerdictReason

if TYPE_CHECKING:
    from sealward.events.comparison.binding import Binding
    from sealward.events.comparison.measurement import Measurement
    from sealward.events.sign import SignValidated

NEVER = datetime.min.replace(tzinfo=UTC)
GONE = frozenset((VerdictReason.NODE_LOST, VerdictReason.NODE_REMOVED))
"""Reasons of a withholding after which no node reports on the server any more."""


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on a signed server.

    `reasons` are stable codes. `checked_at` is the time of the measurement that the verdict rests on,
    `fresh_until` the end of a true that rests on it, `withheld_at` the time of the last withholding.
    """

    is_valid: IsValid = IsValid.UNKNOWN
    reasons: tuple[str, ...] = (VerdictReason.NOT_SEALED,)
    findings: tuple[Finding, ...] = ()
    checked_at: datetime = NEVER
    fresh_until: datetime = NEVER
    withheld_at: datetime = NEVER
    withheld_for: str = ""
    """The reason of the last withholding, also where the verdict has another."""
    claims: tuple[Claim, ...] = ()
    """The nodes that claim the server while its home has not let it go."""
    fingerprint: str = ""
    """The fingerprint of the measurement that made the verdict false or put it in doubt; empty otherwise."""

    @property
    def is_in_doubt(self) -> bool:
        """Say whether the verdict is unknown because the differences alone are in doubt (rule 9)."""
        return self.is_valid is IsValid.UNKNOWN and self.reasons == (VerdictReason.IN_DOUBT,)


UNSEALED = Verdict()


def equal(verdict: Verdict, checked_at: datetime, fresh_until: datetime) -> Verdict:
    """Return the verdict after a measurement equal to the reference (rules 2, 8, 12)."""
    if verdict.claims or _late(verdict, checked_at):
        return verdict
    return replace(
        verdict,
        is_valid=IsValid.TRUE,
        reasons=(),
        findings=(),
        checked_at=checked_at,
        fresh_until=fresh_until,
        fingerprint="",
    )


def differs(
    verdict: Verdict,
    checked_at: datetime,
    findings: tuple[Finding, ...],
    fingerprint: str = "",
    reasons: tuple[str, ...] = (VerdictReason.DIFFERS,),
) -> Verdict:
    """Return the verdict after a measurement that differs from the reference (rules 3, 8).

    A difference makes the verdict false also while trust is withheld. `fingerprint` is the measurement's.
    """
    if checked_at <= verdict.checked_at:
        return verdict
    return replace(
        verdict,
        is_valid=IsValid.FALSE,
        reasons=reasons,
        findings=findings,
        checked_at=checked_at,
        fresh_until=NEVER,
        fingerprint=fingerprint,
    )


def withheld(verdict: Verdict, reason: str, at: datetime) -> Verdict:
    """Return the verdict after trust was withdrawn for `reason` (rules 5, 6, 8, 9)."""
    if at < max(verdict.checked_at, verdict.withheld_at):
        return verdict
    if verdict.is_valid is IsValid.FALSE or verdict.checked_at == NEVER:
        return replace(verdict, withheld_at=at, withheld_for=reason)
    return replace(verdict, is_valid=IsValid.UNKNOWN, reasons=(reason,), withheld_at=at, withheld_for=reason)


def vouched(verdict: Verdict, checked_at: datetime, fresh_until: datetime) -> Verdict:
    """Return the verdict after a sweep, begun at `checked_at`, found the server equal (rules 6, 7, 8)."""
    if verdict.is_valid is IsValid.FALSE or verdict.checked_at == NEVER:
        return verdict
    return equal(verdict, checked_at, fresh_until)


def held(verdict: Verdict) -> Verdict:
    """Return a false verdict after the new node of its sign has measured the server equal (rule 13)."""
    return replace(verdict, reasons=tuple(dict.fromkeys((*verdict.reasons, VerdictReason.FALSE_BEFORE_MOVE))))


def at(verdict: Verdict, now: datetime) -> Verdict:
    """Return the verdict as it reads at `now` (rules 4, 12)."""
    if verdict.claims and verdict.is_valid is not IsValid.FALSE:
        return replace(
            verdict,
            is_valid=IsValid.UNKNOWN,
            reasons=tuple(dict.fromkeys((VerdictReason.CLAIMED, *verdict.reasons))),
            findings=tuple(one.finding for one in verdict.claims),
        )
    if verdict.is_valid is IsValid.TRUE and now >= verdict.fresh_until:
        return replace(verdict, is_valid=IsValid.UNKNOWN, reasons=(VerdictReason.STALE,))
    return verdict


def claimed(verdict: Verdict, claim: Claim) -> Verdict:
    """Return the verdict after another node has claimed the server, or its claim was denied (rule 12)."""
    claims = opened(verdict.claims, claim)
    if verdict.is_valid is IsValid.TRUE or verdict.reasons == (VerdictReason.CLAIM_SETTLED,):
        return replace(verdict, is_valid=IsValid.UNKNOWN, reasons=(VerdictReason.CLAIMED,), claims=claims)
    return replace(verdict, claims=claims)


def unclaimed(verdict: Verdict, node_id: int) -> Verdict:
    """Return the verdict after the claim of a node has ended.

    A verdict that only claims made unknown stays unknown until the server is measured again.
    """
    claims = ended(verdict.claims, node_id)
    if not claims and verdict.reasons == (VerdictReason.CLAIMED,):
        return replace(verdict, reasons=(VerdictReason.CLAIM_SETTLED,), claims=())
    return replace(verdict, claims=claims)


def judged(  # noqa: PLR0913 - one argument for each thing that a judgement rests on
    verdict: Verdict,
    reference: Measurement,
    found: Measurement,
    *,
    findings: tuple[Finding, ...],
    checked_at: datetime,
    fresh_until: datetime,
    binding: Binding = AS_SIGNED,
    host_bound: tuple[Finding, ...] = (),
) -> Verdict:
    """Return the verdict after comparing `found` with `reference` (rules 2, 3, 9, 11, 16).

    Only digests decide whether sections differ. `findings` explain the differences and decide which of them
    are in doubt; a differing section without a finding gets a finding with the two digests. `binding` says
    which host-bound parts are allowed. `host_bound` are findings about host-bound parts; a false verdict has
    all of them.
    """
    found = found.beside(reference)
    changed = differing(reference, found)
    bound = unexplained(reference, binding, found)
    if not changed and not bound and found.unread:
        return withheld(verdict, found.unread[0], checked_at)
    if not changed and not bound and lost(reference, binding, found):
        return withheld(verdict, LOST, checked_at)
    if not changed and not bound and is_in_doubt(reference, binding):
        return _doubted(verdict, found, checked_at)
    if not changed and not bound:
        return equal(verdict, checked_at, fresh_until)
    if reference.profile != found.profile or (not bound and in_doubt(reference, found, findings)):
        return _doubted(verdict, found, checked_at)
    explained = {(one.section, one.form) for one in findings}
    bare = (_unexplained(reference, found, *pair) for pair in changed if pair not in explained)
    named = (one for one in findings if (one.section, one.form) in changed)
    shown = (*all_coded((*named, *bare)), *all_coded(host_bound, is_bound=True), *all_coded(bound))
    is_tainted = any(one.section == TAINT for one in bound)
    has_changed = bool(changed) or any(one.section != TAINT for one in bound)
    reasons = (
        *((VerdictReason.DIFFERS,) if has_changed else ()),
        *((VerdictReason.TAINTED,) if is_tainted else ()),
    )
    return differs(verdict, checked_at, shown, found.fingerprint, reasons)


def recorded(verdict: Verdict, event: SignValidated) -> Verdict:
    """Return the verdict that an event states; `withheld_at` keeps its time (rules 8, 10, 12).

    Of two trues the later counts: a sweep may have vouched since, and sweeps are not in the event's stream.
    """
    if event.is_valid is IsValid.UNKNOWN:
        reason = next(iter(event.reasons), VerdictReason.UNSAID)
        after = withheld(verdict, reason, event.checked_at)
        if event.fingerprint is not None and after.is_in_doubt:
            after = replace(after, fingerprint=event.fingerprint)
        if after.checked_at == NEVER:
            why = verdict.reasons if reason == UNSEALED.reasons[0] else (reason,)
            return replace(after, reasons=tuple(dict.fromkeys((*UNSEALED.reasons, *why))))
        return after
    if event.is_valid is verdict.is_valid is IsValid.TRUE and event.checked_at <= verdict.checked_at:
        return verdict
    if event.is_valid is IsValid.TRUE and verdict.claims:
        return verdict
    stated = replace(
        verdict,
        is_valid=event.is_valid,
        reasons=event.reasons,
        findings=event.findings,
        checked_at=event.checked_at,
        fresh_until=event.fresh_until,
        fingerprint=event.fingerprint or "",
    )
    is_late = event.checked_at <= verdict.withheld_at and verdict.withheld_for in GONE
    if event.is_valid is IsValid.TRUE and is_late:
        return withheld(stated, verdict.withheld_for, verdict.withheld_at)
    return stated


def _doubted(verdict: Verdict, found: Measurement, checked_at: datetime) -> Verdict:
    """Return the verdict after a measurement whose differences are in doubt (rule 9)."""
    after = withheld(verdict, VerdictReason.IN_DOUBT, checked_at)
    return replace(after, fingerprint=found.fingerprint) if after.is_in_doubt else after


def _unexplained(reference: Measurement, found: Measurement, section: str, form: str) -> Finding:
    seen = (found.live if form == LIVE else found.sections).get(section)
    return Finding(section, "/domain", reference.sections.get(section), seen, form)


def _late(verdict: Verdict, checked_at: datetime) -> bool:
    return checked_at <= max(verdict.checked_at, verdict.withheld_at)
