"""The comparison of a measured server with its reference: whether they differ, and the differences."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.binding import is_in_doubt, is_news, is_violated, lost
from sealward.events.comparison.doubt import in_doubt
from sealward.events.comparison.measurement import differing
from sealward.events.is_valid import IsValid
from sealward.events.set_aside import BROKEN
from sealward.node_agent.measuring.findings import findings, host_bound_findings
from sealward.node_agent.measuring.interventions.taint import CHANGES

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealward.events.comparison.binding import Binding
    from sealward.events.comparison.measurement import Finding
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.measuring.measure import Measured

log = logging.getLogger(__name__)

EQUAL: Final = "equal"
"""The result of a comparison that finds a server equal to its reference."""


class Comparison:
    """A server as it was measured, its reference, and its allowed host-bound parts (`binding`).

    Each property is computed when it is first read.
    """

    def __init__(self, reference: Reference, binding: Binding, measured: Measured) -> None:
        self.reference = reference
        self.measured = measured
        self._binding = binding

    @cached_property
    def pairs(self) -> Collection[tuple[str, str]]:
        """The pairs of section and form whose digests differ."""
        return differing(self.reference.measurement, self.measured.measurement)

    @cached_property
    def is_violated(self) -> bool:
        """Whether host-bound parts differ from the allowed host-bound parts."""
        return is_violated(self.reference.measurement, self._binding, self.measured.measurement)

    @cached_property
    def lost(self) -> tuple[str, ...]:
        """The names of the devices whose identity was signed and could not be read."""
        return lost(self.reference.measurement, self._binding, self.measured.measurement)

    @property
    def is_equal(self) -> bool:
        """Whether no difference makes the verdict false, and no undecided section makes it unknown."""
        return not self.pairs and not self.is_violated and not self._is_undecided

    @property
    def _is_undecided(self) -> bool:
        """Whether the reference is of the previous profile and has undecided sections."""
        return is_in_doubt(self.reference.measurement, self._binding)

    @cached_property
    def is_changed(self) -> bool:
        """Whether the server differs in more than taints that may be harmless (`interventions.taint`).

        Such a taint makes the verdict false, and is no reason to stop a server: an administrator's question
        to QEMU's monitor makes the same taint as a command.
        """
        if self.pairs:
            return True
        found = self.measured.measurement
        proving = tuple(one for one in found.taints or () if one in CHANGES)
        return is_violated(self.reference.measurement, self._binding, replace(found, taints=proving))

    @cached_property
    def is_news(self) -> bool:
        """Whether host-bound parts must be reported although they are allowed."""
        return self._binding.is_open or is_news(
            self.reference.measurement, self._binding, self.measured.measurement
        )

    @cached_property
    def verdict(self) -> IsValid:
        """The verdict that the control plane reaches on this measurement."""
        signed, found = self.reference.measurement, self.measured.measurement
        if self.is_equal:
            return IsValid.TRUE
        if signed.profile != found.profile or not (self.pairs or self.is_violated):
            return IsValid.UNKNOWN
        if self.is_violated or signed.hypervisor == found.hypervisor:
            return IsValid.FALSE
        return IsValid.UNKNOWN if in_doubt(signed, found, self.findings) else IsValid.FALSE

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """The differences, section by section; none where explaining the differences fails.

        Findings only explain. The digests prove the difference.
        """
        return explained(self.reference, self.measured, self.pairs)

    def host_bound_findings(self) -> tuple[Finding, ...]:
        """Return the differences in host-bound parts; none where explaining them fails."""
        try:
            return host_bound_findings(self.reference.evidence, self.measured.evidence(), self.findings)
        except BROKEN:
            log.exception("host-bound parts of %s cannot be explained", self.reference.server_id)
            return ()

    @cached_property
    def digests(self) -> str:
        """All digests of the measurement as a text. Measurements with the same text have the same result."""
        measurement = self.measured.measurement
        live = "".join(f" {name}={digest}" for name, digest in sorted(measurement.live.items()))
        bound = "".join(f" {form}={digest}" for form, digest in sorted(measurement.host_bound.items()))
        doors = "".join(f" {one}" for one in (*(measurement.hidden_doors or ()), *(measurement.taints or ())))
        named = "" if not measurement.named else f" {sorted(measurement.named.items())}"
        files = "" if measurement.companions is None else f" {sorted(measurement.companions.read.items())}"
        whole = f"{measurement.profile} {measurement.hypervisor} {measurement.digest}"
        return f"{whole}{live}{bound}{doors}{named}{files}"

    @property
    def result(self) -> str:
        """EQUAL, or the digests of a server that differs."""
        return EQUAL if self.is_equal else self.digests


def explained(
    reference: Reference, measured: Measured, pairs: Collection[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Return the findings about those pairs of section and form; none where explaining them fails."""
    try:
        return findings(reference.evidence, measured.evidence(), pairs) if pairs else ()
    except BROKEN:
        log.exception("the differences of %s cannot be explained", reference.server_id)
        return ()


def after_upgrade(reference: Reference | None, measured: Measured) -> tuple[Finding, ...]:
    """Return the differences from a reference that was measured with another version of libvirt."""
    if reference is None or reference.measurement.hypervisor == measured.measurement.hypervisor:
        return ()
    return explained(reference, measured, differing(reference.measurement, measured.measurement))
