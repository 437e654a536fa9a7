"""Measure a domain: digests per section at once, the evidence that explains them on demand."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lxml import etree

from sealward.events.comparison.files import ALL, Listing, listed
from sealward.events.comparison.measurement import CONFIG, FILES, LIVE, Measurement
from sealward.node_agent.measuring import canonical, masking, profile
from sealward.node_agent.measuring.doors import hidden_doors, open_doors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

Source: TypeAlias = "str | bytes | etree._Element"
"""A domain as XML, or as the tree that `canonical.parse` made of the XML.

Measuring leaves the tree unchanged."""
Files: TypeAlias = "Callable[[etree._Element], etree._Element]"
"""Gives the `<files>` of a parsed domain; their next sibling is `<companions>`, if those are looked for."""


def unmeasured(domain: etree._Element) -> etree._Element:
    """Return what stands for files that nobody looks at: never equal to files that were measured.

    It holds the chains of images that the domain declares: QEMU is made to follow them, and no file that was
    measured says so.
    """
    files = etree.Element("files", measured="no")
    files.extend(canonical.declared_chains(domain))
    return files


@dataclass(frozen=True, slots=True)
class _Form:
    """The persistent or running form of a domain, and what was measured of its files."""

    source: Source
    files: etree._Element
    companions: etree._Element | None = None

    def domain(self) -> etree._Element:
        """Return the normalised domain with its files. Raises DomainXmlRefused."""
        return self.normalised(_parsed(self.source))

    def normalised(self, domain: etree._Element) -> etree._Element:
        """Return a parsed domain without noise, with its files. Raises DomainXmlRefused."""
        chain = profile.MEASURED_CHAIN if self.is_measured else profile.CHAIN
        return _with(canonical.drop_noise(domain, chain), self.files)

    @property
    def is_measured(self) -> bool:
        """Say whether the node looks at files at all, whatever came of it."""
        return self.files.get("measured") != "no" or "reason" in self.files.attrib

    def listing(self) -> Listing:
        """Return the files one by one."""
        if "reason" in self.files.attrib:
            return Listing({}, {ALL: self.files.get("reason", "")})
        return listed(_attributes(self.files))

    def companion_listing(self) -> Listing | None:
        """Return the companions of the files one by one; None where the node looks at no files."""
        if self.companions is not None:
            return listed(_attributes(self.companions))
        return self.listing() if "reason" in self.files.attrib else None

    def before_start(self) -> _Digests:
        """Return the digests of a running form without what libvirt writes into it at its start."""
        return _digested(canonical.drop_start(self.domain()))


class _Digests(NamedTuple):
    """The digests of the strict sections of a form, that of all its host-bound parts, and its doors.

    `hidden` are the doors that noise hides: they are looked for before noise is dropped.
    """

    sections: dict[str, str]
    bound: str
    doors: frozenset[str]
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, and the XML it was taken from for as long as it may have to be explained.

    The XML may hold secrets: it shows neither in repr() nor in comparisons and leaves only as evidence.
    """

    measurement: Measurement
    _config: _Form = field(repr=False, compare=False)
    _live: _Form | None = field(repr=False, compare=False)
    expanded: frozenset[str] = frozenset()
    """The digests of what libvirt has expanded for this node in the running form."""

    def evidence(self) -> bytes:
        """Return what findings need later: deflated canonical XML with the secrets masked, about 2 KB.

        It holds the persistent form, and of the running form the sections that deviate, those with deviating
        host-bound parts among them. Costs about a millisecond, so it is not part of measuring.
        """
        root = etree.Element("evidence", profile=self.measurement.profile)
        etree.SubElement(root, "config").append(self._config.domain())
        names = sorted(self.measurement.live.keys() | self._bound_sections())
        if self._live is not None and names:
            form = etree.SubElement(root, "live", sections=" ".join(names))
            form.append(_only(self._live.domain(), names))
        if self._config.companions is not None:
            root.append(copy.copy(self._config.companions))
        masking.mask_tree(root)
        return zlib.compress(canonical.canonical_bytes(root), 9)

    def beside(self, reference: Measurement | None) -> Measured:
        """Return what is compared with a reference: see `Measurement.beside`."""
        return replace(self, measurement=self.measurement.beside(reference))

    def told(self, taints: tuple[str, ...] | None, jobs: tuple[str, ...]) -> Measured:
        """Return the same with what libvirt tells beside the XML."""
        return replace(self, measurement=replace(self.measurement, taints=taints, jobs=jobs))

    def before_start(self) -> Measurement:
        """Return the measurement of a running form, given as the persistent one, as of before its start.

        libvirt gives the start gate a server that is restored or received in its running form.
        """
        before = self._config.before_start()
        return replace(self.measurement, sections=before.sections, host_bound={CONFIG: before.bound})

    def _bound_sections(self) -> frozenset[str]:
        return profile.HOST_BOUND_SECTIONS if LIVE in self.measurement.host_bound else frozenset()


def measure(
    config_xml: Source, live_xml: str | bytes | None, hypervisor: str, files: Files = unmeasured
) -> Measured:
    """Measure the persistent form of a domain and, when it runs, how the running form deviates from it.

    `config_xml` is the INACTIVE dump, or the stdin of the hook operation `prepare`; `live_xml` is the dump
    without flags, or None when the domain is shut off. SECURE makes no difference.
    Raises DomainXmlRefused, and whatever `files` raises.
    """
    config, persistent = _measured(config_xml, files)
    running_form, expanded = None, frozenset[str]()
    doors, hidden = persistent.doors, persistent.hidden
    live: dict[str, str] = {}
    host_bound = {CONFIG: persistent.bound}
    if live_xml is not None:
        running_form, running = _measured(live_xml, files)
        expanded = frozenset(running.sections[name] for name in profile.HOST_EXPANDED)
        live, bound = _deviating(persistent, running, running_form)
        if not running_form.is_measured:
            live.pop(FILES, None)  # the chains of a running domain are what libvirt probed
        host_bound |= bound
        doors, hidden = doors | running.doors, hidden | running.hidden
    listings = _listings(config, running_form if FILES in live else None)
    measurement = Measurement(
        profile.PROFILE,
        persistent.sections,
        live,
        hypervisor,
        host_bound,
        listings,
        tuple(sorted(doors)),
        tuple(sorted(hidden)),
        config.companion_listing(),
    )
    return Measured(measurement, config, running_form, expanded)


def _listings(config: _Form, live: _Form | None) -> dict[str, Listing]:
    """Return the files of each form one by one, where the node looks at files."""
    forms = {CONFIG: config} if live is None else {CONFIG: config, LIVE: live}
    return {name: form.listing() for name, form in forms.items() if form.is_measured}


def _parsed(source: Source) -> etree._Element:
    """Return a tree of the domain that the caller may take apart. Raises DomainXmlRefused.

    A copy of a tree costs about a third of parsing the XML (53 instead of 180 us for 10 KB).
    """
    return canonical.parse(source) if isinstance(source, str | bytes) else copy.deepcopy(source)


def _measured(source: Source, files: Files) -> tuple[_Form, _Digests]:
    domain = _parsed(source)
    seen, hidden = files(domain), hidden_doors(domain)
    form = _Form(source, seen, seen.getnext())
    return form, _digested(form.normalised(domain))._replace(hidden=hidden)


def _attributes(files: etree._Element) -> Iterator[dict[str, str]]:
    for one in files:
        yield {str(key): str(value) for key, value in one.attrib.items()}


def _digested(domain: etree._Element) -> _Digests:
    """Return the digests of a normalised domain, which is taken apart for that."""
    doors = open_doors(domain)
    bound = canonical.take_host_bound(domain)
    return _Digests(canonical.section_digests(domain), bound, doors)


def _with(domain: etree._Element, files: etree._Element) -> etree._Element:
    """Return a normalised domain with its files. Raises DomainXmlRefused."""
    if domain.find("files") is not None:
        raise canonical.DomainXmlRefused("it has a <files> of its own")
    domain.append(copy.copy(files))
    return domain


def _deviating(persistent: _Digests, running: _Digests, form: _Form) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of sections and of host-bound parts in which the running form deviates."""
    live = {
        name: digest
        for name, digest in running.sections.items()
        if name not in profile.HOST_EXPANDED and digest != persistent.sections[name]
    }
    bound = {LIVE: running.bound} if running.bound != persistent.bound else {}
    if not live and not bound:
        return live, bound
    before = form.before_start()
    live = {name: one for name, one in live.items() if before.sections[name] != persistent.sections[name]}
    return live, {} if before.bound == persistent.bound else bound


def _only(domain: etree._Element, sections: Collection[str]) -> etree._Element:
    """Return a new <domain> with those parts alone that belong to the sections."""
    kept = etree.Element("domain")
    devices = etree.Element("devices")
    homes = {"/domain": kept, "/domain/devices": devices}
    for section, parent, part in list(canonical.placed(domain)):
        if section not in sections:
            continue
        bare = {("", "domain"): kept, ("/domain", "devices"): devices}.get((parent, str(part.tag)))
        if bare is None:
            homes[parent].append(part)
        else:
            bare.attrib.update(dict(part.attrib))
    kept.append(devices)
    return kept
