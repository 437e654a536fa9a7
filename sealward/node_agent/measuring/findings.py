"""Explain a difference between two measurements from the evidence of both.

Elements are matched by their identifying values (the target of a disk, the MAC address of an interface), so a
finding names an element as an administrator knows it. Work and output are bounded for any evidence.
"""

from __future__ import annotations

import copy
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from sealward.events.comparison.doubt import MOST
from sealward.events.comparison.files import UNREAD
from sealward.events.comparison.measurement import COMPANIONS, CONFIG, FILES, LIVE, STARTED, Finding
from sealward.events.findings.marks import MASK, NOT_COMPARED, UNREADABLE
from sealward.node_agent.measuring import canonical, evidence, profile
from sealward.node_agent.measuring.classes import BOUND_SECTIONS
from sealward.node_agent.measuring.clipping import clip, clipped
from sealward.node_agent.measuring.starting import completing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml import etree

MAX_FINDINGS = MOST  # per section and form; a replaced domain differs everywhere
_MAX_KEY = 120

# The parts of one section: (XPath of the parent, element). By section, then by form:
_Parts: TypeAlias = "list[tuple[str, etree._Element]]"
_Sections: TypeAlias = "dict[str, _Parts]"
_Forms: TypeAlias = "dict[str, _Sections]"
# One difference before it gets its section: (XPath, signed value, found value).
_Change: TypeAlias = "tuple[str, str | None, str | None]"

# The keys that identify an element among its siblings, best first. A key is a tuple of XPath steps, all of
# which must be there. An element without a key is identified by its name and, among elements of that name, by
# its position.
_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "disk": (("target/@dev",),),
    "file": (("@path",), ("@role", "@target")),
    "filesystem": (("target/@dir",),),
    "interface": (("mac/@address",),),
    "hostdev": (
        ("source/address/@domain", "source/address/@bus", "source/address/@slot", "source/address/@function"),
        ("source/address/@bus", "source/address/@device"),
        ("source/address/@uuid",),
        ("source/vendor/@id", "source/product/@id"),
    ),
    "controller": (("@type", "@index"),),
    "channel": (("@type", "target/@name"),),
    "serial": (("@type", "target/@port"),),
    "console": (("@type", "target/@port"),),
    "parallel": (("@type", "target/@port"),),
    "input": (("@type", "@bus"),),
    "graphics": (("@type",),),
    "audio": (("@id",),),
    "sysinfo": (("@type",),),
    "seclabel": (("@model",),),
    "entry": (("@name",),),
    "feature": (("@name",),),
    "timer": (("@name",),),
    "boot": (("@dev",),),
    "host": (("@name", "@port"),),
    "cell": (("@id",),),
    "vcpupin": (("@vcpu",),),
    "iothreadpin": (("@iothread",),),
    "{http://libvirt.org/schemas/domain/qemu/1.0}env": (("@name",),),
    "{http://openstack.org/xmlns/libvirt/nova/1.1}port": (("@uuid",),),
    "{http://openstack.org/xmlns/libvirt/nova/1.1}ip": (("@address",),),
}


def findings(
    signed_evidence: bytes, found_evidence: bytes, differing: Iterable[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Return the differences of each (section, form) pair of `differing`, in document order per pair.

    A live difference is compared with the signed running form where there is one, else with the signed
    persistent form. Every pair yields at least one finding. Where the change is inside masked values, the
    findings name the masked values. Where the evidence shows no change or cannot be read, the finding is on
    the domain.
    """
    signed, found = _read(signed_evidence, found_evidence)
    whole: tuple[_Forms | None, _Forms | None] | None = None
    result: list[Finding] = []
    for section, form in differing:
        changes = _explain(signed, found, section, form)
        if not changes:  # the measurement was not compared with this reference, and all of it counts
            whole = whole or _read(signed_evidence, found_evidence, as_defined=True)
            changes = _explain(*whole, section, form) or _unseen(found, section, form)
        result.extend(Finding(section, xpath, old, new, form).printable() for xpath, old, new in changes)
    return tuple(result)


def host_bound_findings(
    signed_evidence: bytes, found_evidence: bytes, strict: Iterable[Finding] = ()
) -> tuple[Finding, ...]:
    """Return the differences between the host-bound parts of two measurements.

    `strict` are the findings about the strict sections: a place that they name is not named again. The values
    with which a start completed the definition are in the result, with STARTED in the place of the form.
    """
    signed, found = _read(signed_evidence, found_evidence, with_bound=True)
    if signed is None or found is None:
        return ()
    named = {(one.section, one.xpath, one.form) for one in strict}
    whole = (
        Finding(section, xpath, old, new, form).printable()
        for section in profile.SECTIONS
        for form in (CONFIG, LIVE)
        if section in BOUND_SECTIONS and (form == CONFIG or section in found[LIVE])
        for xpath, old, new in _changes(signed, found, section, form)
    )
    bound = tuple(one for one in whole if (one.section, one.xpath, one.form) not in named)
    return bound + completed_findings(signed_evidence, found_evidence)


def completed_findings(signed_evidence: bytes, found_evidence: bytes) -> tuple[Finding, ...]:
    """Return the values with which the found start completed the definition and the signed start did not."""
    signed, found = evidence.read(signed_evidence), evidence.read(found_evidence)
    if signed is None or found is None:
        return ()
    before, after = dict(_completed(signed)), dict(_completed(found))
    return tuple(
        Finding(profile.section_of(xpath), xpath, *clipped(before.get(xpath), value), STARTED).printable()
        for xpath, value in after.items()
        if before.get(xpath) != value
    )


def _completed(one: evidence.Evidence) -> tuple[completing.Completed, ...]:
    if one.live is None:
        return ()
    return completing.settle(one.config, copy.deepcopy(one.live))


def _explain(signed: _Forms | None, found: _Forms | None, section: str, form: str) -> list[_Change]:
    if signed is None or found is None:
        return [("/domain", _readable(signed), _readable(found))]
    return _changes(signed, found, section, form)


def _unseen(found: _Forms | None, section: str, form: str) -> list[_Change]:
    """Return the changes to report when the evidence shows none: the change is in a masked value."""
    after = [] if found is None else found[form].get(section, [])
    return _masked_leaves(after) or [("/domain", MASK, MASK)]


def _changes(signed: _Forms, found: _Forms, section: str, form: str) -> list[_Change]:
    old = signed[form].get(section) if form != CONFIG else None
    before = signed[CONFIG].get(section, []) if old is None and form != COMPANIONS else old or []
    return list(islice(_changed_parts(before, found[form].get(section, [])), MAX_FINDINGS))


def _readable(forms: _Forms | None) -> str:
    return UNREADABLE if forms is None else MASK


def _read(
    signed_evidence: bytes, found_evidence: bytes, *, with_bound: bool = False, as_defined: bool = False
) -> tuple[_Forms | None, _Forms | None]:
    """Return the strict parts of both evidences; None for evidence that is damaged, too large or unknown.

    The changes that libvirt's start makes to the signed definition are undone, so that they lead to no
    finding. With `as_defined` they are not undone in the found definition. With `with_bound` the result has
    the host-bound parts, too.
    """
    signed, found = evidence.read(signed_evidence), evidence.read(found_evidence)
    base = None if found is None else copy.deepcopy(found.config)
    if signed is not None and found is not None and not as_defined:
        completing.settle(signed.config, found.config, is_definition=True)
    return (
        None if signed is None else _forms(signed, signed.config, with_bound=with_bound),
        None if found is None or base is None else _forms(found, base, with_bound=with_bound),
    )


def _forms(one: evidence.Evidence, base: etree._Element, *, with_bound: bool) -> _Forms:
    if one.live is not None:
        completing.settle(base, one.live)
    for domain in (one.config, one.live):
        if domain is not None:
            canonical.blank_assigned(canonical.drop_noise(domain))
            if not with_bound:
                canonical.take_host_bound(domain)
    return {
        CONFIG: _sections(one.config),
        LIVE: _live_sections(one),
        COMPANIONS: _companions(one),
    }


def _companions(one: evidence.Evidence) -> _Sections:
    """Return the companions as a form that has only the section of files."""
    if one.companions is None:
        return {}
    one.companions.tag = FILES
    return {FILES: [("/domain", one.companions)]}


def _live_sections(one: evidence.Evidence) -> _Sections:
    if one.live is None:
        return {}
    parts = _sections(one.live)
    return {name: parts.get(name, []) for name in one.live_sections}


def _sections(domain: etree._Element) -> _Sections:
    result: _Sections = {}
    for section, parent, part in canonical.placed(domain):
        result.setdefault(section, []).append((parent, part))
    return result


def changes(signed: etree._Element, found: etree._Element) -> Iterator[_Change]:
    """Yield the differences between two parsed domains, in parts of every class."""
    before, after = _sections(signed), _sections(found)
    for section in profile.SECTIONS:
        yield from islice(_changed_parts(before.get(section, []), after.get(section, [])), MAX_FINDINGS)


def path_of(element: etree._Element) -> str:
    """Return the keyed XPath of an element of a parsed domain."""
    parent = element.getparent()
    if parent is None:
        return f"/{element.tag!s}"
    above = path_of(parent)
    known = keyed([(above, one) for one in parent])
    return next(xpath for xpath, one in known.items() if one is element)


def is_of_unread(finding: Finding) -> bool:
    """Say whether a finding names a file that could not be compared: that finding proves no difference."""
    return finding.section == FILES and (finding.found or "").startswith(NOT_COMPARED)


def _comparable(signed: etree._Element, found: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Return the signed and the found files of a domain, both without the files that could not be read."""
    signed, found = copy.deepcopy(signed), copy.deepcopy(found)
    cut = {(one.get("role"), one.get("target")) for one in found if _is_cut_off(one)}
    there = {_place(one) for one in found}
    for one in signed:
        if (one.get("role"), one.get("target")) in cut and _place(one) not in there:
            signed.remove(one)
    for one in found:
        if _is_cut_off(one):
            found.remove(one)
    contents = {_place(one): one for one in signed}
    for one in found:
        if one.attrib.pop(UNREAD, None) is not None and _place(one) in contents:
            contents[_place(one)].attrib.pop("content", None)
    return signed, found


def _unread(signed: etree._Element | None, found: etree._Element) -> Iterator[_Change]:
    """Yield a change for each file that could not be read, with the signed facts about the file."""
    known = {} if signed is None else {_place(one): one.get("content") for one in signed}
    if found.get("reason") is not None:
        yield "/domain/files", None, f"{NOT_COMPARED}{found.get('reason')}"
    for xpath, one in keyed([("/domain/files", one) for one in found]).items():
        if one.get(UNREAD) is not None:
            yield xpath, known.get(_place(one)), f"{NOT_COMPARED}{one.get(UNREAD)}"


def _is_cut_off(file: etree._Element) -> bool:
    """Say whether an element `<file>` stands for the rest of a disk's chain."""
    return file.get(UNREAD) is not None and file.get("target") is not None and file.get("layer") is None


def _place(file: etree._Element) -> tuple[str | None, ...]:
    return tuple(file.get(name) for name in ("role", "target", "layer", "kind", "path"))


def _changed_parts(signed: _Parts, found: _Parts) -> Iterator[_Change]:
    old, new = keyed(signed), keyed(found)
    for xpath in _merged(list(old), list(new)):
        yield from _changed(xpath, old.get(xpath), new.get(xpath))
    yield from _moved(list(old), list(new))


def _changed(xpath: str, old: etree._Element | None, new: etree._Element | None) -> Iterator[_Change]:
    if new is not None and xpath == "/domain/files":
        yield from _unread(old, new)
        if new.get("reason") is not None:
            return
        old, new = (None, new) if old is None else _comparable(old, new)
    if old is None or new is None:
        yield xpath, _summary(old), _summary(new)
        return
    yield from _changed_attributes(xpath, old, new)
    if old.text != new.text:
        yield f"{xpath}/text()", *clipped(old.text, new.text)
    if old.tail != new.tail:
        yield f"{xpath}/following-sibling::text()[1]", *clipped(old.tail, new.tail)
    yield from _changed_parts([(xpath, child) for child in old], [(xpath, child) for child in new])


def _changed_attributes(xpath: str, old: etree._Element, new: etree._Element) -> Iterator[_Change]:
    for name in sorted({str(name) for name in (*old.attrib, *new.attrib)}):
        if old.get(name) != new.get(name):
            shown = shown_name(name, old if name in old.attrib else new)
            yield f"{xpath}/@{shown}", *clipped(old.get(name), new.get(name))


def _moved(old: list[str], new: list[str]) -> Iterator[_Change]:
    """Yield a change for parts that stand in another order: the guest sees devices in document order."""
    both = set(old) & set(new)
    ranks = {xpath: rank for rank, xpath in enumerate((x for x in old if x in both), 1)}
    for rank, xpath in enumerate((x for x in new if x in both), 1):
        if ranks[xpath] != rank:
            yield f"{xpath}/position()", str(ranks[xpath]), str(rank)


def _merged(old: list[str], new: list[str]) -> list[str]:
    """Return the union in document order. A part of the new side alone follows its predecessor there."""
    known = set(old)
    followers: dict[str, list[str]] = {}
    anchor = ""
    for xpath in new:
        if xpath in known:
            anchor = xpath
        else:
            followers.setdefault(anchor, []).append(xpath)
    return [*followers.get("", []), *(x for xpath in old for x in (xpath, *followers.get(xpath, [])))]


def keyed(parts: _Parts) -> dict[str, etree._Element]:
    """Return the parts by keyed XPath. The second and later parts of the same key have a position as well."""
    result: dict[str, etree._Element] = {}
    seen: dict[str, int] = {}
    for parent, element in parts:
        xpath = f"{parent}/{shown_name(str(element.tag), element)}{_predicate(element)}"
        seen[xpath] = count = seen.get(xpath, 0) + 1
        result[xpath if count == 1 else f"{xpath}[{count}]"] = element
    return result


def _predicate(element: etree._Element) -> str:
    for steps in _KEYS.get(str(element.tag), ()):
        values = [_value_at(element, step) for step in steps]
        if all(_is_quotable(value) for value in values):
            tests = (f'{step}="{value}"' for step, value in zip(steps, values, strict=True))
            return f"[{' and '.join(tests)}]"
    return ""


def _value_at(element: etree._Element, step: str) -> str | None:
    path, _, name = step.rpartition("@")
    owner = element.find(path.rstrip("/")) if path else element
    return None if owner is None else owner.get(name)


def _is_quotable(value: str | None) -> bool:
    return value is not None and len(value) <= _MAX_KEY and '"' not in value and value.isprintable()


def shown_name(name: str, element: etree._Element) -> str:
    """Return a name as the document writes it, with its prefix."""
    namespace, brace, local = name.rpartition("}")
    if not brace:
        return name
    prefixes = (prefix for prefix, uri in element.nsmap.items() if prefix and uri == namespace[1:])
    prefix = next(prefixes, None)
    return f"{prefix}:{local}" if prefix else f'*[local-name()="{local}"]'


def _summary(element: etree._Element | None) -> str | None:
    if element is None:
        return None
    return clip(canonical.canonical_bytes(element).decode(), 0)


def _masked_leaves(parts: _Parts) -> list[_Change]:
    """Yield a change for every masked value of a section: the change must be inside a masked value."""
    return [(xpath, MASK, MASK) for xpath in islice(_masked_paths(parts), MAX_FINDINGS)]


def _masked_paths(parts: _Parts) -> Iterator[str]:
    for xpath, element in keyed(parts).items():
        for name, value in element.attrib.items():
            if MASK in value:
                yield f"{xpath}/@{shown_name(str(name), element)}"
        if MASK in (element.text or ""):
            yield f"{xpath}/text()"
        yield from _masked_paths([(xpath, child) for child in element])
