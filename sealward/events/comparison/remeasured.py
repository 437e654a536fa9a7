"""A reference that was sealed under an earlier profile, measured anew under the profile in force.

Digests of two profiles cannot be compared. The evidence of a reference can be measured under the newer
profile. The agent does that, because only agents read XML, and states the result with each measurement that
it compares. The control plane uses the result for this comparison alone, and keeps the reference as it was
sealed. So a node with a false result gains no more than with a false measurement, and the falsehood ends with
the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - statements are read by the annotations
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

HAS_OTHER_DIGESTS: Final = "host-bound"
"""The entry among the undecided sections for host-bound parts: digests that a move recorded under the earlier
profile cannot be compared (`binding.HOST_BOUND`)."""


@dataclass(frozen=True, slots=True)
class Remeasured:
    """The reference whose digest is `origin`, measured under another profile.

    `undecided` names the sections that cannot be measured from the evidence, because values in them were
    masked.
    """

    origin: str
    profile: str
    sections: Mapping[str, str]
    live: Mapping[str, str] = field(default_factory=dict)
    host_bound: Mapping[str, str] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()


def applied(reference: Measurement, remeasured: Remeasured) -> Measurement:
    """Return a reference with the sections and digests of the profile under which it was measured anew."""
    return replace(
        reference,
        profile=remeasured.profile,
        sections=remeasured.sections,
        live=remeasured.live,
        host_bound=remeasured.host_bound,
        undecided=remeasured.undecided,
    )


def comparable(reference: Measurement, found: Measurement, remeasured: Remeasured | None) -> Measurement:
    """Return the reference to compare `found` with: as measured anew, if `remeasured` is about it."""
    if remeasured is None or reference.profile == found.profile:
        return reference
    is_of_it = (
        remeasured.origin == reference.digest
        and remeasured.profile == found.profile
        and remeasured.sections.keys() == reference.sections.keys()
    )
    return applied(reference, remeasured) if is_of_it else reference
