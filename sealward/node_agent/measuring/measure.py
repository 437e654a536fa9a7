"""Measure a domain: digests per section at once, the evidence that explains them on demand."""

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
from sealward.node_agent.measuring import completing, evidence, form, profile
from sealward.node_agent.measuring.classes import BOUND_SECTIONS
from sealward.node_agent.measuring.form import unmeasured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealward.events.comparison.files import Listing
    from sealward.node_agent.measuring.completing import Completed
    from sealward.node_agent.measuring.form import Digests, Files, Form, Source


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, and the XML it was taken from for as long as it may have to be explained.

    The XML may hold secrets: it shows neither in repr() nor in comparisons and leaves only as evidence.
    """

    measurement: Measurement
    _config: Form = field(repr=False, compare=False)
    _live: Form | None = field(repr=False, compare=False)
    expanded: frozenset[str] = frozenset()
    """The digests of what libvirt has expanded for this node in the running form."""
    completed: tuple[Completed, ...] = field(default=(), repr=False, compare=False)
    """What the start of the running form completed its definition with."""

    def evidence(self) -> bytes:
        """Return what findings need later: deflated canonical XML with the secrets masked, about 2 KB.

        It holds the persistent form, and of the running form the sections that deviate, those with deviating
        host-bound parts and those that a start completed among them. Costs about a millisecond, so it is not
        part of measuring.
        """
        sections = self.measurement.live.keys() | self._bound_sections() | self._completed_sections()
        return evidence.written(self.measurement.profile, self._config, self._live, sections)

    def beside(
        self, reference: Measurement | None, signed: bytes = b"", expanded: frozenset[str] = frozenset()
    ) -> Measured:
        """Return what is compared with a reference, whose evidence is `signed`.

        A definition that was made of a running form (by a volume swap of nova, a revert to a snapshot) has
        what its start derived or completed: where that is all, its sections are those of the reference. Its
        processor must be as it runs, or as it was `expanded` on this node before. So must the chains of
        images that it declares, where the node looks at no files.
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

    def told(self, taints: tuple[str, ...] | None, jobs: tuple[str, ...]) -> Measured:
        """Return the same with what libvirt tells beside the XML."""
        return replace(self, measurement=replace(self.measurement, taints=taints, jobs=jobs))

    def told_named(self, named: Mapping[str, str]) -> Measured:
        """Return the same with what the domain names and its node keeps elsewhere."""
        return replace(self, measurement=replace(self.measurement, named=named))

    def before_start(self, signed: bytes) -> Measurement:
        """Return the measurement of a running form, given as the persistent one, as of before its start.

        libvirt gives the start gate a server that is restored or received in its running form. `signed` is
        the evidence of the definition that it was made of.
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
    Raises DomainXmlRefused, and whatever `files` raises.
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
    """How a running form deviates from the persistent one: digests by section, and of host-bound parts.

    What libvirt made of the persistent form at the start is no deviation; some of it is `completed`.
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
        and (name != FILES or running.is_measured)  # chains of a running domain are what libvirt probed
    }
