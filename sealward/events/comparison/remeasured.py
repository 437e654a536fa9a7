"""A reference that was sealed under an earlier profile, measured anew under the profile in force.

Digests of two profiles cannot be compared. The evidence of a reference can be measured under the newer
profile, and the agent does so: only an agent reads XML. It states what came of it with each measurement that
it compares. The control plane takes that for this one comparison and keeps the reference as it was sealed, so
a node that lies about it says no more than with a measurement that lies, and nothing of it outlives the node.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - statements are read by the annotations
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

HAS_OTHER_DIGESTS: Final = "host-bound"
"""What stands among the undecided sections where digests of host-bound parts that a move recorded under the
earlier profile cannot be compared (`binding.HOST_BOUND`)."""


@dataclass(frozen=True, slots=True)
class Remeasured:
    """What a reference whose digest is `origin` is like under another profile.

    `undecided` names sections that the evidence does not tell: values in them were masked.
    """

    origin: str
    profile: str
    sections: Mapping[str, str]
    live: Mapping[str, str] = field(default_factory=dict)
    host_bound: Mapping[str, str] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()


def applied(reference: Measurement, remeasured: Remeasured) -> Measurement:
    """Return a reference as it is under the profile that it was measured anew under."""
    return replace(
        reference,
        profile=remeasured.profile,
        sections=remeasured.sections,
        live=remeasured.live,
        host_bound=remeasured.host_bound,
        undecided=remeasured.undecided,
    )


def comparable(reference: Measurement, found: Measurement, remeasured: Remeasured | None) -> Measurement:
    """Return the reference that `found` is compared with: as it was measured anew, if that is of it."""
    if remeasured is None or reference.profile == found.profile:
        return reference
    is_of_it = (
        remeasured.origin == reference.digest
        and remeasured.profile == found.profile
        and remeasured.sections.keys() == reference.sections.keys()
    )
    return applied(reference, remeasured) if is_of_it else reference
