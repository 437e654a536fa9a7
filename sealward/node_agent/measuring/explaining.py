"""Each path of a domain with its section and class, and how two domains differ, with the class of each part.

`sealward explain` and `sealward diff` print both: an administrator sees what a sign covers before a server is
signed, and why a difference counts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator  # noqa: TC003 - a public return type
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from lxml import etree

from sealward.events.comparison.binding import AS_SIGNED, doors_opened, strays
from sealward.events.comparison.measurement import CONFIG, LIVE, REDEFINED, STARTED, Finding, differing
from sealward.events.findings.code import HARMLESS as HARMLESS_CODES
from sealward.events.findings.coding import coded
from sealward.events.findings.kind import Kind
from sealward.events.findings.marks import MASK
from sealward.node_agent.measuring import canonical, findings, masking, profile
from sealward.node_agent.measuring.classes import BLANKED, BOUND, IDENTIFYING, LEFT_OUT
from sealward.node_agent.measuring.measure import measure
from sealward.node_agent.measuring.starting import completing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VIOLATION: Final = "violation"
COMPLETED: Final = "completed"
HARMLESS: Final = frozenset((COMPLETED, *(kind.value for kind in Kind if kind is not Kind.CONFIGURATION)))
"""The words for differences that make no verdict false."""


class Line(NamedTuple):
    """A path of a domain: the section and the class that it belongs to."""

    section: str
    kind: Kind
    xpath: str


class Difference(NamedTuple):
    """A difference between two domains: a violation, or the class that explains it."""

    word: str
    finding: Finding


def explained(xml: str | bytes) -> tuple[Line, ...]:
    """Return each attribute, text and empty element of a domain, in document order by section.

    Raises DomainXmlRefused.
    """
    return tuple(_lines(canonical.parse(xml)))


def compared(
    signed_xml: str | bytes, found_xml: str | bytes, running_xml: str | bytes | None = None
) -> tuple[Difference, ...]:
    """Return how a server differs from the definition that was signed while it was off, violations first.

    The server is now defined as `found_xml`, runs as `running_xml`, and has not moved. Where only `found_xml`
    is given and is a running form, the server is defined as it was signed and runs as `found_xml`. A change
    of a bound part is a violation where the part says which device, network or file is meant
    (`classes.IDENTIFYING`), or where the change opens a door. Raises DomainXmlRefused.
    """
    if running_xml is None and _is_running(found_xml):
        found_xml, running_xml = signed_xml, found_xml
    return _Comparison(signed_xml, found_xml, running_xml).differences()


class _Comparison:
    def __init__(
        self, signed_xml: str | bytes, found_xml: str | bytes, running_xml: str | bytes | None
    ) -> None:
        self._signed = measure(signed_xml, None, "")
        self._evidence = self._signed.evidence()
        self._found = measure(found_xml, running_xml, "").beside(self._signed.measurement, self._evidence)
        self._domains = [_masked(one) for one in (signed_xml, found_xml)]
        self._running = None if running_xml is None else _masked(running_xml)

    def differences(self) -> tuple[Difference, ...]:
        pairs = differing(self._signed.measurement, self._found.measurement)
        found = self._found.evidence()
        strict = findings.findings(self._evidence, found, pairs) if pairs else ()
        doors = tuple(self._doors())
        result = [Difference(VIOLATION, one) for one in (*strict, *doors)]
        known = {one.xpath for one in strict}
        for one in self._completed():
            if one.finding.xpath not in known:
                result.append(one)
                known.add(one.finding.xpath)
        for one in self._bound(found, known):
            result.append(one)
            known.add(one.finding.xpath)
        result.extend(self._others(known))
        named = (one._replace(finding=_coded(one)) for one in result)
        return tuple(sorted(named, key=lambda one: one.word != VIOLATION))

    def _doors(self) -> Iterator[Finding]:
        for door in doors_opened(self._signed.measurement, self._found.measurement):
            xpath, _, what = door.partition(": ")
            yield Finding("host-bound", xpath, None, what)

    def _completed(self) -> Iterator[Difference]:
        """Yield the differences that libvirt's start explains, in the running form and in the definition."""
        signed, found = (canonical.drop_noise(copy.deepcopy(one)) for one in self._domains)
        in_config = completing.undone(signed, found, is_definition=True)
        running = None if self._running is None else canonical.drop_noise(copy.deepcopy(self._running))
        in_live = () if running is None else completing.undone(signed, running)
        seen = {(one.xpath, one.found) for one in in_live}
        is_odd = REDEFINED in strays(self._signed.measurement, AS_SIGNED, self._found.measurement)
        for one in in_config:
            is_known = (one.xpath, one.found) in seen
            word = VIOLATION if one.is_recorded and is_odd and not is_known else _word(one)
            yield Difference(word, _finding(one, CONFIG))
        for one in in_live:
            yield Difference(_word(one), _finding(one, STARTED if one.is_recorded else LIVE))

    def _bound(self, found: bytes, known: set[str]) -> Iterator[Difference]:
        if not strays(self._signed.measurement, AS_SIGNED, self._found.measurement):
            return
        for one in findings.host_bound_findings(self._evidence, found):
            if one.form != STARTED and one.xpath not in known and not _is_below(one.xpath, known):
                word = VIOLATION if _is_identifying(one.xpath) else Kind.BOUND.value
                yield Difference(word, coded(one, is_bound=True))

    def _others(self, known: set[str]) -> Iterator[Difference]:
        """Yield the differences in parts that are not measured."""
        signed, found = self._domains
        forms = [(CONFIG, signed, found), *([] if self._running is None else [(LIVE, found, self._running)])]
        for form, before, after in forms:
            kinds = {**_kinds(before), **_kinds(after)}
            for xpath, old, new in findings.changes(before, after):
                kind = kinds.get(xpath, Kind.CONFIGURATION)
                is_said = xpath in known or kind in {Kind.CONFIGURATION, Kind.BOUND}
                is_new_number = kind in {Kind.ASSIGNED, Kind.DERIVED} and None in {old, new}
                if not (is_said or is_new_number or MASK in {old, new}):
                    known.add(xpath)
                    yield Difference(kind.value, Finding(profile.section_of(xpath), xpath, old, new, form))


def _coded(difference: Difference) -> Finding:
    """Return the finding of a difference with its code, which says the class."""
    harmless = HARMLESS_CODES.get(difference.word)
    if harmless is not None:
        return replace(difference.finding, code=harmless.code)
    return difference.finding if difference.finding.code else coded(difference.finding)


def _is_running(xml: str | bytes) -> bool:
    """Say whether a dump is of a running form: only a running form has a number or aliases."""
    domain = canonical.parse(xml)
    aliases = domain.xpath("devices/*/alias/@name[not(starts-with(., 'ua-'))]")
    return domain.get("id") is not None or bool(aliases)


def _word(one: completing.Undone) -> str:
    return COMPLETED if one.is_recorded else one.kind.value


def _finding(one: completing.Undone, form: str) -> Finding:
    return Finding(profile.section_of(one.xpath), one.xpath, one.signed, one.found, form).printable()


def _masked(xml: str | bytes) -> etree._Element:
    domain = canonical.parse(xml)
    masking.mask_tree(domain)
    return domain


def _pattern_of(xpath: str) -> str:
    """Return a path below <domain> without the conditions in it."""
    bare, depth = [], 0
    for character in xpath:
        depth += (character == "[") - (character == "]")
        if not depth and character != "]":
            bare.append(character)
    return "".join(bare).removeprefix("/domain/")


_IDENTIFYING: Final = frozenset(map(_pattern_of, IDENTIFYING))
_BOUND: Final = frozenset(_pattern_of(xpath) for part in BOUND for xpath in part.xpaths)


def _is_identifying(xpath: str) -> bool:
    """Say whether a bound part tells which device, network or file is meant. A whole device does so, too."""
    pattern = _pattern_of(xpath).removesuffix("/text()").removesuffix("/position()")
    of_identity = any(pattern == one or pattern.startswith(f"{one}/") for one in _IDENTIFYING)
    is_device = pattern.startswith("devices/") and pattern.count("/") == 1
    return of_identity or is_device


def _is_below(xpath: str, known: Iterable[str]) -> bool:
    return any(xpath.startswith(f"{one}/") for one in known)


def _lines(domain: etree._Element) -> Iterator[Line]:
    kinds = _marks(domain)
    parts: dict[str, list[tuple[str, etree._Element]]] = {}
    for section, parent, part in canonical.placed(domain):
        parts.setdefault(section, []).append((parent, part))
    bare = {str(domain.tag): domain, "devices": domain.find("devices")}
    for section in profile.SECTIONS:
        for xpath, element in findings.keyed(parts.get(section, [])).items():
            owner = bare.get(str(element.tag), element) if element.getparent() is None else element
            yield from _lines_of(
                section, xpath, element if owner is None else owner, kinds, deep=owner is element
            )


def _lines_of(
    section: str,
    xpath: str,
    element: etree._Element,
    kinds: Mapping[tuple[etree._Element, str], Kind],
    *,
    deep: bool,
) -> Iterator[Line]:
    whole = kinds.get((element, ""))
    for name in map(str, element.keys()):
        kind = whole or kinds.get((element, name)) or Kind.CONFIGURATION
        yield Line(section, kind, f"{xpath}/@{findings.shown_name(name, element)}")
    if not deep:
        return
    if element.text:
        yield Line(section, whole or kinds.get((element, "text()")) or Kind.CONFIGURATION, f"{xpath}/text()")
    if not element.keys() and not element.text and not len(element):
        yield Line(section, whole or Kind.CONFIGURATION, xpath)
    for path, child in findings.keyed([(xpath, child) for child in element]).items():
        yield from _lines_of(section, path, child, kinds, deep=True)


def _kinds(domain: etree._Element) -> dict[str, Kind]:
    """Return the class of each path of a domain, also of paths in elements that are left out as a whole."""
    marks = _marks(domain)
    whole = {}
    for element, name in marks:
        if not name:
            xpath = findings.path_of(element)
            whole[xpath] = marks[element, name]
    return {line.xpath: line.kind for line in _lines(domain)} | whole


def _marks(domain: etree._Element) -> dict[tuple[etree._Element, str], Kind]:
    """Return the classes from the tables by element and by attribute, `text()`, or "" for the element."""
    marks: dict[tuple[etree._Element, str], Kind] = {}
    for part in (*BOUND, *LEFT_OUT):
        for xpath in part.xpaths:
            for node in cast("list[etree._Element]", _compiled(xpath)(domain)):
                _mark(marks, node, part.kind)
    for assigned in BLANKED:
        for element in cast("list[etree._Element]", _compiled(assigned.xpath)(domain)):
            for name in assigned.attributes.intersection(map(str, element.keys())):
                marks[element, name] = Kind.ASSIGNED
    return marks


def _mark(
    marks: dict[tuple[etree._Element, str], Kind],
    node: etree._Element | etree._ElementUnicodeResult,
    kind: Kind,
) -> None:
    if isinstance(node, etree._Element):
        for one in node.iter():
            marks[one, ""] = kind
        return
    owner = node.getparent()
    if owner is not None:
        marks[owner, "text()" if node.is_text else str(node.attrname)] = kind


def _compiled(xpath: str) -> etree.XPath:
    return etree.XPath(xpath, namespaces=profile.NAMESPACES)
