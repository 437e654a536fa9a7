"""Whether a server may start: pure rules over the server's measurement and its dossier.

Each rule has a test of its name in tests/node_agent/gate/test_judge.py:

1. A server that equals its reference may start, and nothing is recorded.
2. A start is refused only if the policy refuses it. A start that a stricter policy would refuse is recorded.
3. XML that cannot be measured is an objection under `on_start`.
4. A server that is not signed, or for which the control plane did not answer in time, is an objection under
   `unsigned`, if the policy refuses unsigned servers; else it is no objection.
5. A signed server is an objection under `on_start` if its reference is missing in the ledger, is older than a
   reference that the ledger had before, or has no signature of a key that must have signed it. So is a signed
   server in a ledger whose folder was replaced by an older copy, unless its reference there is the reference
   that was in force before the replacement.
6. A server that differs from its reference is an objection under `on_start`. `events.comparison.binding` says
   when host-bound parts differ.
7. A difference in doubt, which an upgrade of libvirt may have made (`events.comparison.doubt`), is recorded
   and never refused: the verdict would be unknown (`events.verdict`, rule 9). Every other difference falls
   under rule 6.
8. For signed servers, a ledger that the control plane has not confirmed for too long is an objection under
   `on_start`.
9. Firmware of the node that differs from the accepted firmware is an objection under `firmware`, for every
   server.
10. A file that could not be compared (not read in time, unreadable, missing) is an objection under
   `on_start`. A difference in the other files or sections is an objection of its own (rule 6).
11. A start for which libvirt gave no XML is recorded and never refused: there is nothing to compare.
12. A server that is not signed and has the name or a disk of a signed server takes that server's place: it is
   an objection under the `on_start` of the signed server.
13. Of several objections the first that the policy refuses is given, else the first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.comparison.binding import AS_SIGNED, is_in_doubt, is_violated
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
    """Stable codes of the gate's objections."""

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
    """A reason against a start, and whether the policy refuses the start for it."""

    reason: Reason
    refused: bool


def refuses(policy: Policy, reason: Reason) -> bool:
    """Return whether a policy refuses a start for a reason (rules 2, 4, 7, 9, 11)."""
    match reason:
        case Reason.PROFILE | Reason.NOT_GIVEN:
            return False
        case Reason.UNSIGNED | Reason.UNANSWERED:
            return policy.unsigned is Unsigned.REFUSE
        case Reason.FIRMWARE:
            return policy.firmware is OnDoubt.REFUSE
    return policy.on_start is OnDoubt.REFUSE


def objection(policy: Policy, reasons: Iterable[Reason]) -> Objection | None:
    """Return the objection that is given for these reasons; None for none (rules 1, 13)."""
    weighed = (Objection(one, refuses(policy, one)) for one in reasons)
    found = [one for one in weighed if one.refused or one.reason not in _UNKNOWN]
    return next((one for one in found if one.refused), found[0] if found else None)


def is_stale(dossier: Dossier, now: datetime) -> bool:
    """Return whether the control plane has not confirmed the ledger for too long (rule 8)."""
    return dossier.confirmed_at is None or now - dossier.confirmed_at > dossier.alone_for


def of_standing(dossier: Dossier, *, is_answered: bool = True) -> Reason | None:
    """Return why there is no reference to compare with; None where there is one (rules 4, 5).

    `is_answered` says whether the control plane has answered for the server, or the ledger is complete.
    """
    if dossier.entry is None and dossier.seen is None:
        return Reason.UNSIGNED if is_answered else Reason.UNANSWERED
    if dossier.entry is None:
        return Reason.MISSING
    if dossier.seen is not None and dossier.entry.order < dossier.seen:
        return Reason.ROLLED_BACK
    if dossier.is_put_back and dossier.entry.order != dossier.seen:
        return Reason.ROLLED_BACK
    return None


def of_difference(
    reference: Measurement,
    found: Measurement,
    findings: Iterable[Finding] = (),
    binding: Binding | None = None,
) -> Reason | None:
    """Return the reason that a comparison gives against a start, with these findings (rules 1, 6, 7).

    Without a `binding` it is unknown which host-bound parts the server may have, and they are not compared.
    """
    is_strange = binding is not None and is_violated(reference, binding, found)
    if not is_strange and not differing(reference, found):
        is_open = is_in_doubt(reference, AS_SIGNED if binding is None else binding)
        return Reason.PROFILE if is_open else None
    if is_strange and reference.profile == found.profile:
        return Reason.DIFFERS
    from sealward.events.comparison.doubt import in_doubt  # noqa: PLC0415 - a start without a difference need not load it

    return Reason.PROFILE if in_doubt(reference, found, findings) else Reason.DIFFERS
