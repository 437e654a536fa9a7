"""Whether a server may start: pure rules over what libvirt is about to start and what the ledger knows.

Each rule has a test of its name in tests/node_agent/gate/test_judge.py:

1. A server equal to its reference may start, and there is nothing to record.
2. Nothing is refused unless the policy says so; what would be refused is recorded all the same.
3. XML that cannot be measured is an objection under `on_start`.
4. A server that nobody signed, or of which the control plane did not say in time whether anybody did, is an
   objection under `unsigned`, if that refuses; else nothing is to be said.
5. A signed server whose reference the ledger has lost, or is older than one that was here before, or lacks
   the signature of a key that must have signed it, is an objection under `on_start`. So is a reference that
   a folder brought back, unless it is the one that was in force before the folder was put back.
6. A server that differs from its reference is an objection under `on_start`. Host-bound parts differ by the
   rules of `events.binding`.
7. A difference that is in doubt (`events.doubt`: a libvirt upgrade may have made it) is recorded and never
   refused: a verdict would be unknown (`events.verdict`, rule 9). Every other difference is one by rule 6.
8. A ledger that the control plane has not confirmed for too long is an objection to signed servers under
   `on_start`.
9. Firmware of the node that is not what it was is an objection under `firmware`, whatever the server.
10. A file that could not be compared (not read in time, unreadable, missing) is an objection under
   `on_start`; a difference of what could be compared is one for itself (rule 6).
11. A start of which libvirt gave no XML is recorded and never refused: there is nothing to compare.
12. A server that nobody signed, and that has the name or a disk of a signed server, is an objection under the
   `on_start` of that server: it takes its place.
13. Of several objections the first that refuses is given, else the first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.comparison.binding import is_violated
from sealward.events.comparison.measurement import differing
from sealward.events.policy import OnDoubt, Unsigned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sealward.events.comparison.binding import Binding
    from sealward.events.comparison.measurement import Finding, Measurement
    from sealward.events.policy import Policy
    from sealward.node_agent.gate.decision.dossier import Dossier


class Reason(StrEnum):
    """Stable codes of what the gate objects to."""

    DIFFERS = "measurement-differs"
    NOT_COMPARED = "file-not-compared"
    UNSIGNED = "unsigned"
    UNANSWERED = "unanswered"
    UNREADABLE = "domain-unreadable"
    MISSING = "reference-missing"
    ROLLED_BACK = "reference-rolled-back"
    UNVERIFIED = "reference-unverified"
    PROFILE = "profile-changed"
    STALE = "ledger-stale"
    LEDGER = "ledger-unreadable"
    FIRMWARE = "firmware-changed"
    TIME = "out-of-time"
    NOT_GIVEN = "domain-not-given"
    REPLACED = "file-replaced"
    PLACE = "place-taken"
    FAILED = "gate-failed"


_UNKNOWN: Final = frozenset((Reason.UNSIGNED, Reason.UNANSWERED))


class Objection(NamedTuple):
    """What speaks against a start, and whether the policy refuses it for that."""

    reason: Reason
    refused: bool


def refuses(policy: Policy, reason: Reason) -> bool:
    """Say whether a policy refuses a start for that reason (rules 2, 4, 7, 9, 11)."""
    match reason:
        case Reason.PROFILE | Reason.NOT_GIVEN:
            return False
        case Reason.UNSIGNED | Reason.UNANSWERED:
            return policy.unsigned is Unsigned.REFUSE
        case Reason.FIRMWARE:
            return policy.firmware is OnDoubt.REFUSE
    return policy.on_start is OnDoubt.REFUSE


def objection(policy: Policy, reasons: Iterable[Reason]) -> Objection | None:
    """Return the objection to give, if there is any (rules 1, 13)."""
    weighed = (Objection(one, refuses(policy, one)) for one in reasons)
    found = [one for one in weighed if one.refused or one.reason not in _UNKNOWN]
    return next((one for one in found if one.refused), found[0] if found else None)


def is_stale(dossier: Dossier, now: datetime) -> bool:
    """Say whether the control plane has confirmed the ledger too long ago (rule 8)."""
    return dossier.confirmed_at is None or now - dossier.confirmed_at > dossier.alone_for


def of_standing(dossier: Dossier, *, is_answered: bool = True) -> Reason | None:
    """Return why there is no reference to compare with; None when there is one (rules 4, 5).

    `is_answered` says whether the control plane, or the ledger by being complete, says that there is none.
    """
    if dossier.entry is None and dossier.seen is None:
        return Reason.UNSIGNED if is_answered else Reason.UNANSWERED
    if dossier.entry is None:
        return Reason.MISSING
    if dossier.seen is not None and dossier.entry.place < dossier.seen:
        return Reason.ROLLED_BACK
    if dossier.is_put_back and dossier.entry.place != dossier.seen:
        return Reason.ROLLED_BACK
    return None


def of_difference(
    reference: Measurement,
    found: Measurement,
    findings: Iterable[Finding] = (),
    binding: Binding | None = None,
) -> Reason | None:
    """Return what a comparison says against a start; `findings` are about it (rules 1, 6, 7).

    Without a `binding` nobody knows what host-bound parts may be: then they are not compared.
    """
    is_strange = binding is not None and is_violated(reference, binding, found)
    if not is_strange and not differing(reference, found):
        return None
    if is_strange and reference.profile == found.profile:
        return Reason.DIFFERS
    from sealward.events.comparison.doubt import in_doubt  # noqa: PLC0415 - a start without a difference need not load it

    return Reason.PROFILE if in_doubt(reference, found, findings) else Reason.DIFFERS
