"""Measures a domain: the digests of its sections, and on demand the evidence that explains the digests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sealward.events.comparison.measurement import (
    CONFIG,
    FILES,
    LIVE,
    REDEFINED,
    STARTED,
    Measurement,
)
from sealward.node_agent.measuring import evidence, form, profile
from sealward.node_agent.measuring.classes import BOUND_SECTIONS
from sealward.node_agent.measuring.form import unmeasured
from sealward.node_agent.measuring.starting import completing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.events.comparison.files import Listing
    from sealward.node_agent.measuring.form import Digests, Files, Form, Source
    from sealward.node_agent.measuring.starting.completing import Completed


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, together with the XML that it was taken from, which findings may need later.

    The XML may hold secrets. So repr() and comparisons leave it out, and it leaves this class only as
    evidence.
    """

    measurement: Measurement
    _config: Form = field(repr=False, compare=False)
    _live: Form | None = field(repr=False, compare=False)
    expanded: frozenset[str] = frozenset()
    """The digests of the sections that libvirt has expanded for this node in the running form."""
    completed: tuple[Completed, ...] = field(default=(), repr=False, compare=False)
    """The values with which the start of the running form completed the definition."""

    def evidence(self) -> bytes:
        """Return the evidence for later findings: deflated canonical XML with masked secrets, about 2 KB.

        The evidence holds the persistent form, and of the running form the sections that deviate. A section
        deviates, too, where its host-bound parts deviate or a start completed it. Making evidence takes about
        a millisecond, so it is not part of measuring.
        """
        sections = self.measurement.live.keys() | self._bound_sections() | self._completed_sections()
        return evidence.written(self.measurement.profile, self._config, self._live, sections)

    def beside(
        self, reference: Measurement | None, signed: bytes = b"", expanded: frozenset[str] = frozenset()
    ) -> Measured:
        """Return the measurement to compare with a reference, whose evidence is `signed`.

        A definition that was made of a running form (by a volume swap of nova, or a revert to a snapshot) has
        the values that the start derived or completed. Where it differs in no other value, its sections count
        as equal to those of the reference. Its section cpu must be as in the running form, or as it was
        `expanded` on this node before. The same holds for the chains of images that it declares, where the
        node looks at no files.
        """
        seen = self.measurement.beside(reference)
        if reference is not None and signed and self._differs(reference):
            seen = self._redefined(seen, reference, signed, expanded | self.expanded)
        return replace(self, measurement=seen)

    def _differs(self, reference: Measurement) -> bool:
        seen = self.measurement
        return dict(seen.sections) != dict(reference.sections) or (
            seen.host_bound.get(CONFIG) != reference.host_bound.get(CONFIG)
        )

    def _redefined(
        self, seen: Measurement, reference: Measurement, signed: bytes, expanded: frozenset[str]
    ) -> Measurement:
        known = evidence.read(signed)
        if known is None:
            return seen
        settled, completed = self._config.settled(known.config, is_definition=True)
        was = reference.sections
        sections = {
            name: was[name] if settled.sections[name] == was.get(name) else digest
            for name, digest in seen.sections.items()
        }
        for name in (profile.HOST_EXPANDED | {FILES}) & was.keys():
            if seen.sections.get(name) in expanded:
                sections[name] = was[name]
        host_bound = dict(seen.host_bound)
        if settled.bound == reference.host_bound.get(CONFIG):
            host_bound[CONFIG] = settled.bound
        if completed:
            host_bound[REDEFINED] = completing.digest(completed)
        return replace(seen, sections=sections, host_bound=host_bound)

    def told(
        self, taints: tuple[str, ...] | None, jobs: tuple[str, ...], *, is_saved: bool = False
    ) -> Measured:
        """Return this measurement with the taints and block jobs, which libvirt reports beside the XML.

        `is_saved` says that the running form is that of a managed save. It says nothing about what libvirt
        expands for this node, because the image of a managed save can be changed.
        """
        found = replace(self, measurement=replace(self.measurement, taints=taints, jobs=jobs))
        return replace(found, expanded=frozenset()) if is_saved else found

    def tainted_with(self, taints: tuple[str, ...]) -> Measured:
        """Return this measurement with further taints."""
        if not taints:
            return self
        found = (*(self.measurement.taints or ()), *taints)
        return replace(self, measurement=replace(self.measurement, taints=tuple(sorted(found))))

    def told_named(self, named: Mapping[str, str]) -> Measured:
        """Return this measurement with the digests of the networks, filters and volumes of the domain."""
        return replace(self, measurement=replace(self.measurement, named=named))

    def before_start(self, signed: bytes) -> Measurement:
        """Return this measurement without the changes of libvirt's start, for the start gate.

        libvirt gives the start gate the running form of a server that is restored or received. Here that form
        was measured as if it were the persistent form. `signed` is the evidence of the definition that the
        form was made of.
        """
        known = evidence.read(signed)
        if known is None:
            return self.measurement
        before, completed = self._config.settled(known.config)
        started = {STARTED: completing.digest(completed)} if completed else {}
        return replace(
            self.measurement, sections=before.sections, host_bound={CONFIG: before.bound, **started}
        )

    def _bound_sections(self) -> frozenset[str]:
        return BOUND_SECTIONS if LIVE in self.measurement.host_bound else frozenset()

    def _completed_sections(self) -> frozenset[str]:
        return frozenset(profile.section_of(one.xpath) for one in self.completed)


def measure(
    config_xml: Source, live_xml: str | bytes | None, hypervisor: str, files: Files = unmeasured
) -> Measured:
    """Measure the persistent form of a domain and, when it runs, how the running form deviates from it.

    `config_xml` is the INACTIVE dump, or the stdin of the hook operation `prepare`; `live_xml` is the dump
    without flags, or None when the domain is shut off. SECURE makes no difference.
    Raises DomainXmlRefused, and the exceptions of `files`.
    """
    config, persistent = form.read(config_xml, files)
    if live_xml is None:
        return Measured(_measurement(config, persistent, hypervisor), config, None)
    running_form, running = form.read(live_xml, files)
    deviating = _Deviating.of(config, persistent, running_form, running)
    measurement = replace(
        _measurement(config, persistent, hypervisor, running_form if FILES in deviating.live else None),
        live=deviating.live,
        host_bound={CONFIG: persistent.bound, **deviating.bound},
        doors=tuple(sorted(persistent.doors | running.doors)),
        hidden_doors=tuple(sorted(persistent.hidden | running.hidden)),
    )
    chains = frozenset() if running_form.is_measured else frozenset((FILES,))
    expanded = frozenset(running.sections[name] for name in profile.HOST_EXPANDED | chains)
    return Measured(measurement, config, running_form, expanded, deviating.completed)


def _measurement(config: Form, persistent: Digests, hypervisor: str, live: Form | None = None) -> Measurement:
    return Measurement(
        profile.PROFILE,
        persistent.sections,
        {},
        hypervisor,
        {CONFIG: persistent.bound},
        _listings(config, live),
        tuple(sorted(persistent.doors)),
        tuple(sorted(persistent.hidden)),
        config.companion_listing(),
    )


def _listings(config: Form, live: Form | None) -> dict[str, Listing]:
    """Return the files of each form one by one, where the node looks at files."""
    forms = {CONFIG: config} if live is None else {CONFIG: config, LIVE: live}
    return {name: one.listing() for name, one in forms.items() if one.is_measured}


@dataclass(frozen=True, slots=True)
class _Deviating:
    """The deviations of a running form from the persistent form: digests by section, and of host-bound parts.

    A change that libvirt's start explains is no deviation. The values that the node decided at the start are
    `completed`.
    """

    live: dict[str, str]
    bound: dict[str, str]
    completed: tuple[Completed, ...] = ()

    @classmethod
    def of(cls, config: Form, persistent: Digests, running: Form, found: Digests) -> _Deviating:
        if _live(persistent, found, running) or found.bound != persistent.bound:
            settled, completed = running.settled(config.domain())
            bound = {LIVE: settled.bound} if settled.bound != persistent.bound else {}
            if completed:
                bound[STARTED] = completing.digest(completed)
            return cls(_live(persistent, settled, running), bound, completed)
        return cls({}, {})


def _live(persistent: Digests, found: Digests, running: Form) -> dict[str, str]:
    """Return the digests of the sections in which a running form deviates."""
    return {
        name: digest
        for name, digest in found.sections.items()
        if name not in profile.HOST_EXPANDED
        and digest != persistent.sections[name]
        and (name != FILES or running.is_measured)  # libvirt probed the chains of a running domain
    }
