"""Differences in doubt: a libvirt upgrade may have made them. All other differences are violations.

A newer libvirt reads the definitions that an older libvirt wrote, fills in new defaults, and shows the
result. It does not change the files, boot, security, identity, metadata or arguments for QEMU of a
definition. A difference is in doubt only when all of these conditions hold:

1. The measurement has another profile or another version of libvirt than the reference. Digests of two
   profiles cannot be compared, so under another profile all differences are in doubt.
2. Every section that differs is in `SECTIONS`.
3. Every finding about a differing section is of a kind that `SECTIONS` names for the section: an addition, in
   a place where libvirt fills in defaults. A changed value that was signed is no default.
4. The number of findings about a section is below the limit: at the limit, further findings may be missing.

For a differing section without findings its name alone decides, because only digests are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.measurement import differing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.comparison.measurement import Finding, Measurement

MOST: Final = 200
"""The largest number of findings about a section of a form."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A section that libvirt fills in, the reason, and the places: patterns of the XPaths of findings.

    `added` are places where libvirt may add elements or attributes. `changed` are places where libvirt may
    also change or remove a value.
    """

    why: str
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def explains(self, finding: Finding) -> bool:
        """Say whether libvirt may have made this difference."""
        patterns = self.changed if finding.signed is not None else (*self.added, *self.changed)
        return any(re.fullmatch(pattern, finding.xpath) for pattern in patterns)


_KEY: Final = r'(?:\[[^"\]]*(?:"[^"]*"[^"\]]*)*\])*'
"""A predicate that selects a device of a kind in the XPath of a finding: `[mac/@address="..."]`, `[2]`."""
_ADDRESS: Final = r"/address(?:/@\w+)?"


def _device(kinds: str, rest: str = "") -> str:
    return f"/domain/devices/(?:{kinds}){_KEY}{rest}"


SECTIONS: Final = {
    "cpu": Rewritten(
        "libvirt spells out models, features and checks as it comes to know processors better",
        changed=(r"/domain/cpu(?:/.*)?",),
    ),
    "features": Rewritten(
        "features and timers get new settings, whose default is then written out",
        added=(r"/domain/(?:features|clock|pm)/.*",),
    ),
    "memory": Rewritten(
        "units and the present amount are written out",
        added=(r"/domain/(?:memory|currentMemory|maxMemory)/@(?:unit|dumpCore)", r"/domain/currentMemory"),
    ),
    "tuning": Rewritten(
        "how processors are placed is written out",
        added=(r"/domain/vcpu/@placement", r"/domain/vcpus", r"/domain/iothreadids(?:/iothread/@id)?"),
    ),
    "disks": Rewritten(
        "devices get a PCI or drive address; the driver QEMU is named",
        added=(_device("disk|filesystem", _ADDRESS), _device("disk", r"/driver/@name")),
    ),
    "interfaces": Rewritten(
        "devices get a PCI address and a model",
        added=(_device("interface", _ADDRESS), _device("interface", r"/model(?:/@type)?")),
    ),
    "hostdevs": Rewritten(
        "devices get a PCI address",
        added=(_device("hostdev|redirdev", _ADDRESS),),
    ),
    "graphics": Rewritten(
        "video cards get an address and settings of their own; consoles are joined with a sound backend",
        added=(
            _device("video", _ADDRESS),
            _device("video", r"/model/@(?:heads|primary|ram|vram|vram64|vgamem|blob)"),
            _device("video", r"/driver(?:/@name)?"),
            _device("graphics", r"/audio(?:/@id)?"),
        ),
    ),
    "devices": Rewritten(
        "controllers, inputs, the watchdog of a chip set and a sound backend without sound are added; "
        "devices get an address, a model and the version that was the default before",
        added=(
            _device("controller"),
            _device("controller|input|hub|sound|watchdog|memballoon|rng|panic|tpm|vsock|serial", _ADDRESS),
            _device(
                "controller|input|watchdog|memballoon|rng|panic|tpm|vsock", r"/@(?:model|ports|vectors|bus)"
            ),
            _device("controller", r"/(?:model|target|driver)(?:/@\w+)?"),
            _device("memballoon", r"/@(?:autodeflate|freePageReporting)"),
            _device("serial|console", r"/target(?:/@(?:type|port)|/model(?:/@name)?)?"),
            _device("channel", _ADDRESS),
            _device("tpm", r"/backend/@version"),
        ),
    ),
}
"""The sections that libvirt itself rewrites: sections that are not here are never in doubt."""

_WHOLE: Final = (
    r'<audio id="\d+" type="none"></audio>',
    r'<input bus="ps2" type="(?:mouse|keyboard)"></input>',
    r'<watchdog action="reset" model="itco"></watchdog>',
)
"""Devices that libvirt adds in exactly this form. Other devices of these kinds can reach the host."""


def may_be_sealed(reference: Measurement, found: Measurement, findings: Iterable[Finding]) -> bool:
    """Say whether a server is as it was signed, apart from values that a libvirt upgrade filled in.

    Every difference must be explained by a finding: digests alone show no mapping.
    """
    explained = tuple(findings)
    pairs = differing(reference, found)
    named = {(one.section, one.form) for one in explained}
    if reference.profile != found.profile or not named.issuperset(pairs):
        return False
    return not pairs or in_doubt(reference, found, explained)


def in_doubt(reference: Measurement, found: Measurement, findings: Iterable[Finding]) -> bool:
    """Say whether all differences are in doubt. `findings` are about these two measurements."""
    if reference.profile != found.profile:
        return True
    if reference.hypervisor == found.hypervisor:
        return False
    about: dict[tuple[str, str], list[Finding]] = {pair: [] for pair in differing(reference, found)}
    for finding in findings:
        about.get((finding.section, finding.form), []).append(finding)
    return all(_explains(section, made) for (section, _), made in about.items())


def _explains(section: str, made: list[Finding]) -> bool:
    rewritten = SECTIONS.get(section)
    return rewritten is not None and len(made) < MOST and all(_is_default(rewritten, one) for one in made)


def _is_default(rewritten: Rewritten, finding: Finding) -> bool:
    is_added_whole = finding.signed is None and any(re.fullmatch(one, finding.found or "") for one in _WHOLE)
    return is_added_whole or rewritten.explains(finding)
