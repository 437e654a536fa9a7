"""The code of each finding, from the finding itself: its section, place, form and values.

The control plane gives the codes. A node reports findings without codes, so no node can give a finding a code
that does not fit. Only whether a finding is about a host-bound part cannot be told from the finding, and is
said by the list in which the node reports it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.binding import HOST_BOUND
from sealward.events.comparison.devices import DEVICE
from sealward.events.comparison.measurement import CONFIG, FILES, LIVE, REDEFINED, STARTED
from sealward.events.comparison.named import NAMED
from sealward.events.comparison.taint import TAINT
from sealward.events.findings import code
from sealward.events.findings.marks import MASK, NOT_COMPARED, UNREADABLE
from sealward.events.findings.subject import is_device, steps_of, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.comparison.measurement import Finding
    from sealward.events.findings.meaning import Meaning

_DIGEST: Final = 64
_DEVICE: Final = 4
"""The steps of a path to a device: "", domain, devices, the device."""
_FILE: Final = 4
"""The steps of a path to a file: "", domain, files, the file."""


def coded(finding: Finding, *, is_bound: bool = False) -> Finding:
    """Return the finding with the code that is right for it. `is_bound`: it is about a host-bound part."""
    bare = finding if finding.code is None else replace(finding, code=None)
    meaning = meaning_of(bare, is_bound=is_bound)
    return replace(bare, code=meaning.code)


def all_coded(findings: Iterable[Finding], *, is_bound: bool = False) -> tuple[Finding, ...]:
    """Return the findings with their codes."""
    return tuple(coded(one, is_bound=is_bound) for one in findings)


def meaning_of(finding: Finding, *, is_bound: bool = False) -> Meaning:
    """Return the entry of the registry for a finding: that of its code, if it has a known code."""
    known = code.FINDINGS.get(finding.code or "")
    return known or _beside(finding) or _bare(finding) or _of_part(finding, is_bound=is_bound)


def _beside(finding: Finding) -> Meaning | None:  # noqa: PLR0911 - one return a section
    """Return the entry for a finding about something else than a part of the domain."""
    match finding.section:
        case "node":
            return code.CLAIMED
        case "firmware":
            return code.FIRMWARE[_change(finding)]
        case section if section == TAINT:
            return code.TAINTS.get(finding.found or "", code.TAINT)
        case section if section == NAMED:
            return code.NAMED.get(finding.xpath.split("/")[1], code.NAMED_OTHER)
        case section if section == DEVICE:
            return _of_device(finding)
        case section if section == HOST_BOUND:
            return _of_host(finding)
    return None


def _of_device(finding: Finding) -> Meaning:
    """Return the entry for a finding about the identity of a device of the node."""
    if (finding.found or "").startswith(NOT_COMPARED):
        return code.DEVICE_LOST
    steps = finding.xpath.split("/")
    return code.EXCHANGED.get(steps[2] if len(steps) > 2 else "", code.EXCHANGED_OTHER)  # noqa: PLR2004 - /device/KIND


def _of_host(finding: Finding) -> Meaning:
    """Return the entry for a finding about host-bound parts of which only digests or doors are known."""
    if finding.form == REDEFINED:
        return code.REDEFINED
    if finding.form == STARTED:
        return code.STARTED[""]
    if finding.form in {CONFIG, LIVE} and _is_digest(finding.found):
        return code.BOUND_UNEXPLAINED
    return code.DOORS.get(finding.found or "", code.DOOR)


def _bare(finding: Finding) -> Meaning | None:
    """Return the entry for a finding without a place, or without values."""
    if UNREADABLE in {finding.signed, finding.found}:
        return code.UNREADABLE
    if finding.signed == finding.found and MASK in (finding.found or ""):
        return code.MASKED
    if finding.xpath != "/domain":
        return None
    if (finding.signed or "").startswith("of "):
        return code.OWNED
    values = (finding.signed, finding.found)
    return code.SECTION if all(one is None or _is_digest(one) for one in values) else None


def _of_part(finding: Finding, *, is_bound: bool) -> Meaning:
    if finding.form == STARTED:
        group = "boot" if finding.section == FILES else finding.section
        return code.STARTED.get(group, code.STARTED[""])
    if finding.section == FILES:
        return code.FINDINGS[f"file-{_change_of_file(finding)}"]
    if is_bound:
        return code.BOUND.get(finding.section, code.BOUND_UNEXPLAINED)
    subject = subject_of(finding.section, finding.xpath)
    change = _change_of_device(finding) if is_device(subject) else code.CHANGED
    return code.FINDINGS[f"{subject.word}-{change}"]


def _change_of_file(finding: Finding) -> str:
    steps = steps_of(finding.xpath)
    if (finding.found or "").startswith(NOT_COMPARED):
        return "not-compared"
    if steps[-1].partition(" ")[0] == "@content":  # with the place: `@content at 4096`
        return "content-changed"
    if steps[-1] == "position()":
        return code.MOVED
    return _change(finding) if len(steps) <= _FILE else code.CHANGED


def _change_of_device(finding: Finding) -> str:
    steps = steps_of(finding.xpath)
    if len(steps) == _DEVICE + 1 and steps[-1] == "position()":
        return code.MOVED
    return _change(finding) if len(steps) == _DEVICE else code.CHANGED


def _change(finding: Finding) -> str:
    if finding.signed is None:
        return code.ADDED
    return code.REMOVED if finding.found is None else code.CHANGED


def _is_digest(text: str | None) -> bool:
    return text is not None and len(text) == _DIGEST and set(text) <= set("0123456789abcdef")
