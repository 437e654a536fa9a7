"""The rehearsal of an upgrade to the profile in force, for servers that were signed under an earlier profile.

A rehearsal reads the references, measures them anew, and compares them with the domains that libvirt shows.
It writes and reports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.binding import AS_SIGNED, is_in_doubt, unexplained
from sealward.events.comparison.evidence import with_files
from sealward.events.comparison.measurement import differing
from sealward.node_agent.measuring import profile
from sealward.node_agent.measuring.findings import findings
from sealward.node_agent.measuring.upgrade.remeasuring import as_in_force

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealward.events.comparison.binding import Binding
    from sealward.events.comparison.measurement import Finding, Measurement
    from sealward.events.signing.statement import Statement
    from sealward.node_agent.measuring.measure import Measured

TRUE: Final = "true"
FALSE: Final = "false"
UNKNOWN: Final = "unknown"
DECIDED: Final = "decided"
"""The reference can be measured under the profile in force. The server itself was not measured."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The expected verdict on a server, its reason, and the profile that its reference was sealed under."""

    server_id: str
    profile: str
    verdict: str
    undecided: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def rehearse(
    statement: Statement,
    measure: Callable[[Measurement], Measured] | None = None,
    binding: Binding = AS_SIGNED,
) -> Rehearsal:
    """Return the rehearsal for a server. `measure` measures it for a reference; its errors are raised."""
    sealed = with_files(statement.measurement, statement.evidence)
    reference, _ = as_in_force(sealed, statement.evidence)
    server_id, undecided = statement.server_id, reference.undecided
    if reference.profile != profile.PROFILE:
        return Rehearsal(server_id, sealed.profile, UNKNOWN, tuple(sorted(sealed.sections)))
    if measure is None:
        doubtful = is_in_doubt(reference, binding)
        return Rehearsal(server_id, sealed.profile, UNKNOWN if doubtful else DECIDED, undecided)
    measured = measure(reference).beside(reference, statement.evidence)
    pairs = differing(reference, measured.measurement)
    bound = unexplained(reference, binding, measured.measurement)
    if pairs or bound:
        named = findings(statement.evidence, measured.evidence(), pairs) if pairs else ()
        return Rehearsal(server_id, sealed.profile, FALSE, undecided, (*named, *bound))
    verdict = UNKNOWN if is_in_doubt(reference, binding) else TRUE
    return Rehearsal(server_id, sealed.profile, verdict, undecided)
