"""Taints: actions on a running server beside its definition, as libvirt reports them. A taint is a violation.

A taint that the server had when it was signed is no violation. A taint ends when the server is switched off,
so a taint that is missing says nothing. A reference that was made by an agent that did not ask for taints has
no taints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.comparison.measurement import LIVE, Finding

if TYPE_CHECKING:
    from sealward.events.comparison.measurement import Measurement

TAINT: Final = "taint"
"""The section of a finding about a taint."""


def added(reference: Measurement, found: Measurement) -> tuple[str, ...]:
    """Return the taints that a server did not have when it was signed."""
    if not found.taints:
        return ()
    return tuple(sorted(set(found.taints).difference(reference.taints or ())))


def taint_findings(reference: Measurement, found: Measurement) -> tuple[Finding, ...]:
    """Return a finding for each taint that the server did not have when it was signed, at most 50."""
    return tuple(
        Finding(TAINT, "/domain", None, one, LIVE).printable() for one in added(reference, found)[:50]
    )
