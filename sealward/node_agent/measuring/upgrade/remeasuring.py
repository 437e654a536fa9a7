"""Measures references of the previous profile under the profile in force, from their evidence.

Evidence is the canonical XML of the sealed domain, with secrets masked. A section is decided

- when both profiles measure it alike: the sealed digest stays,
- when its evidence gives the sealed digest: nothing in the section was masked, or
- when the profile in force measures none of the masked values in it.

Other sections are undecided. A server that differs in undecided sections alone is "unknown"
(`profile-changed`), and never "false".
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.comparison.measurement import CONFIG, LIVE, STARTED
from sealward.events.comparison.remeasured import HAS_OTHER_DIGESTS, Remeasured
from sealward.events.findings.kind import Kind
from sealward.events.findings.marks import MASK
from sealward.node_agent.measuring import canonical, evidence, profile
from sealward.node_agent.measuring.classes import BOUND, Part
from sealward.node_agent.measuring.form import digested
from sealward.node_agent.measuring.starting import completing

if TYPE_CHECKING:
    from lxml import etree

    from sealward.events.comparison.measurement import Measurement

BEFORE: Final = "libvirt-domain/2"
"""The previous profile. Its references can be measured anew."""

_NOT_BOUND_BEFORE: Final = (
    "memoryBacking/",
    "devices/disk[@type='network'][not(serial)]",
    "devices/disk[serial]",
    "cputune/iothreadpin",
    "cputune/vcpusched",
    "devices/hostdev[@type='pci']",
)
_BOUND_BEFORE: Final = (
    *(
        replace(part, xpaths=tuple(one for one in part.xpaths if not one.startswith(_NOT_BOUND_BEFORE)))
        for part in BOUND
    ),
    Part(Kind.BOUND, "how memory is backed", ("memoryBacking",)),
)
"""The host-bound parts of the previous profile."""


class _Both(NamedTuple):
    """One form under both profiles: digests of the sections, of host-bound parts, and sections with masks."""

    before: dict[str, str]
    now: dict[str, str]
    bound_before: str
    bound_now: str
    masked_before: frozenset[str]
    masked_now: frozenset[str]


def remeasured(reference: Measurement, signed: bytes) -> Remeasured | None:
    """Measure a reference under the profile in force; `signed` is its evidence.

    Returns None where the reference is of the profile in force or of an unsupported profile, or where its
    evidence cannot be read.
    """
    known = evidence.read(signed) if reference.profile == BEFORE else None
    if known is None:
        return None
    config = _both(copy.deepcopy(known.config), copy.deepcopy(known.config))
    undecided: set[str] = set()
    sections = {
        name: _decided(name, digest, config, undecided) for name, digest in reference.sections.items()
    }
    host_bound = {CONFIG: config.bound_now, **_live_bound(reference, known)}
    if host_bound.get(CONFIG) != reference.host_bound.get(CONFIG):
        undecided.add(HAS_OTHER_DIGESTS)
    live = _live(reference, known, sections, undecided)
    return Remeasured(reference.digest, profile.PROFILE, sections, live, host_bound, tuple(sorted(undecided)))


def as_in_force(reference: Measurement, signed: bytes) -> tuple[Measurement, Remeasured | None]:
    """Return a reference under the profile in force, and its remeasurement if it is of an earlier profile."""
    from sealward.events.comparison.remeasured import applied  # noqa: PLC0415 - few references need it

    found = remeasured(reference, signed)
    return (reference, None) if found is None else (applied(reference, found), found)


def _decided(name: str, sealed: str, form: _Both, undecided: set[str]) -> str:
    """Return the digest of a section under the profile in force; add an undecided section to `undecided`."""
    before, now = form.before.get(name), form.now.get(name)
    if before == now or now is None:
        return sealed
    is_unmasked = name in form.masked_before and name not in form.masked_now
    if before != sealed and not is_unmasked:
        undecided.add(name)
    return now


def _both(normalised: etree._Element, settled: etree._Element) -> _Both:
    """Return the digests of a form under both profiles.

    `normalised` is the form for the previous profile. `settled` is the form without the changes of its start.
    """
    bound_before = canonical.take_host_bound(normalised, _BOUND_BEFORE, hosts_in_order=True)
    before = canonical.section_digests(normalised)
    now = digested(canonical.drop_noise(settled))
    return _Both(before, now.sections, bound_before, now.bound, _masked(normalised), _masked(settled))


def _masked(domain: etree._Element) -> frozenset[str]:
    """Return the sections with masked values."""
    mask = MASK.encode()
    return frozenset(
        section for section, _, one in canonical.placed(domain) if mask in canonical.canonical_bytes(one)
    )


def _live(
    reference: Measurement, known: evidence.Evidence, sections: dict[str, str], undecided: set[str]
) -> dict[str, str]:
    """Return the sections in which the running form deviates under the profile in force."""
    if known.live is None or not reference.live:
        return {}
    settled = canonical.drop_noise(copy.deepcopy(known.live))
    completing.settle(canonical.drop_noise(copy.deepcopy(known.config)), settled)
    form = _both(copy.deepcopy(known.live), settled)
    live = {name: _decided(name, digest, form, undecided) for name, digest in reference.live.items()}
    return {name: digest for name, digest in live.items() if digest != sections.get(name)}


def _live_bound(reference: Measurement, known: evidence.Evidence) -> dict[str, str]:
    """Return the digests of the host-bound parts and of the completing values of the running form."""
    if known.live is None:
        return {}
    settled = canonical.drop_noise(copy.deepcopy(known.live))
    completed = completing.settle(canonical.drop_noise(copy.deepcopy(known.config)), settled)
    found = {STARTED: completing.digest(completed)} if completed else {}
    if LIVE in reference.host_bound:
        found[LIVE] = digested(settled).bound
    return found
