"""Undoes in a running form the changes that libvirt makes to a definition when the domain starts.

A running form has values that its definition does not have: libvirt rounds values, resolves them, picks them
or asks the node for them. `settle` compares a form with the definition that the form was made of, and undoes
each difference that a rule of `start_rules` explains. A difference that no rule explains stays.

Some of these values follow from the definition alone (*derived*). For some, any value is right (*assigned*,
*state*). Other values are decided by the node: which firmware `firmware='efi'` is, which bridge a libvirt
network has. The values that the node decides *complete* the definition: `settle` returns them, and the first
start after a seal makes them known (`events.comparison.binding`, rule 4).
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from lxml import etree

from sealward.node_agent.measuring.starting.start_rules import ADDED, CHANGED, REMOVED, Meeting, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.findings.kind import Kind

_OWN_PATH: Final = re.compile(
    r"(?:/var/lib|/run|/var/run|/run/user/\d+)/libvirt/qemu/(?:[^/]+/)*(?:domain-)?\d+-([^/]+)/[^/]+"
)
"""A path that libvirt makes of the number and the shortened name of a running domain
(virDomainDefGetShortName)."""
_SHORT_NAME: Final = 20
_FIRMWARE_FILES: Final = frozenset(("loader", "nvram", "nvram-template"))


class Completed(NamedTuple):
    """A value that the node has decided, with its place in the domain."""

    xpath: str
    value: str


class Undone(NamedTuple):
    """A difference that libvirt's start explains: its class, its place, and both values."""

    kind: Kind
    xpath: str
    signed: str | None
    found: str | None
    is_recorded: bool


def settle(
    base: etree._Element, found: etree._Element, *, is_definition: bool = False
) -> tuple[Completed, ...]:
    """Undo in the normalised form `found` what libvirt changed in the normalised definition `base`.

    Returns the values that complete the definition. `found` may hold only some parts of a domain. `found` is
    a definition itself where a domain was defined anew from a running form. Both may come from evidence,
    which is untrusted.
    """
    return _Settling(base, found, is_definition).run()


def undone(base: etree._Element, found: etree._Element, *, is_definition: bool = False) -> tuple[Undone, ...]:
    """Return each difference that `settle` undoes in `found`. `found` is changed as by `settle`."""
    settling = _Settling(base, found, is_definition)
    settling.run()
    return tuple(settling.undone)


def digest(completed: Iterable[Completed]) -> str:
    """Return the SHA-256 hex of the values that complete a definition."""
    seen = hashlib.sha256(b"completed\0")
    for one in sorted(completed):
        for text in (one.xpath.encode(), one.value.encode()):
            seen.update(len(text).to_bytes(8, "big") + text)
    return seen.hexdigest()


@dataclass(slots=True)
class _Settling:
    base: etree._Element
    found: etree._Element
    is_definition: bool
    completed: list[Completed] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)
    firmware: set[str] = field(default_factory=set)

    def run(self) -> tuple[Completed, ...]:
        self.firmware = _firmware_files(self.found)
        self._children("", "/domain", self.base, self.found)
        self._attributes("", "/domain", self.base, self.found)
        return tuple(self.completed)

    def _both(self, place: str, xpath: str, base: etree._Element, found: etree._Element) -> None:
        self._children(f"{place}/", xpath, base, found)
        self._attributes(f"{place}/", xpath, base, found)
        old, new = base.text or "", found.text or ""
        if old != new and self._accepted(CHANGED, f"{place}/text()", f"{xpath}/text()", base, found, new):
            found.text = base.text

    def _attributes(self, place: str, xpath: str, base: etree._Element, found: etree._Element) -> None:
        for name in sorted({*map(str, base.keys()), *map(str, found.keys())}):
            old, new = base.get(name), found.get(name)
            if old == new:
                continue
            at, shown = f"{place}@{name}", f"{xpath}/@{name}"
            if new is None:
                if self._accepted(REMOVED, at, shown, base, found, old or ""):
                    found.set(name, old or "")
            elif old is None:
                if self._is_added(at, name, new) or self._accepted(ADDED, at, shown, base, found, new):
                    del found.attrib[name]
            elif self._accepted(CHANGED, at, shown, base, found, new):
                found.set(name, old)

    def _is_added(self, at: str, name: str, value: str) -> bool:
        """Say whether a start may add this attribute to any element."""
        if not at.startswith("devices/"):
            return False
        is_unencrypted = name == "tls" and value == "no" and "/source/" in at and not self.is_definition
        return is_unencrypted or self._is_own(value)

    def _is_own(self, value: str) -> bool:
        made = _OWN_PATH.fullmatch(value)
        name = self.base.findtext("name") or ""
        return made is not None and "/../" not in value and made[1] in {name, name[:_SHORT_NAME]}

    def _children(self, place: str, xpath: str, base: etree._Element, found: etree._Element) -> None:
        known = {_key(one): one for one in _numbered(base)}
        seen = {_key(one) for one in _numbered(found)}
        for key, (number, one) in [(_key(pair), pair) for pair in _numbered(found)]:
            at, shown = f"{place}{one.tag!s}", f"{xpath}/{one.tag!s}" + (f"[{number}]" if number > 1 else "")
            counterpart = known.get(key)
            if counterpart is not None:
                self._both(at, shown, counterpart[1], one)
            elif self._is_added_whole(at, one) or self._accepted(
                ADDED, at, shown, base, found, _written(one), one
            ):
                found.remove(one)
        for position, one in enumerate(list(base)):
            pair = next((pair for pair in known.items() if pair[1][1] is one), None)
            if pair is not None and pair[0] not in seen:
                at = f"{place}{one.tag!s}"
                if self._accepted(REMOVED, at, f"{xpath}/{one.tag!s}", base, found, ""):
                    found.insert(position, copy.deepcopy(one))

    def _is_added_whole(self, at: str, element: etree._Element) -> bool:
        if not at.startswith("devices/"):
            return False
        if element.tag == "address" and at.count("/") == 2:  # noqa: PLR2004 - devices, the device, the address
            return not self.is_definition
        return element.tag == "source" and not len(element) and self._is_own(element.get("path", ""))

    def _accepted(  # noqa: PLR0913, PLR0917 - where a difference is, and between what
        self,
        rules: dict[str, Rule],
        place: str,
        xpath: str,
        base: etree._Element,
        found: etree._Element,
        value: str,
        element: etree._Element | None = None,
    ) -> bool:
        rule = rules.get(place)
        if rule is None:
            return False
        if place == "files/file" and not self._is_of_firmware(element):
            return False
        meeting = Meeting(base, found, self.base, self.found, self.firmware, self.is_definition)
        if not rule.accepts(meeting, value):
            return False
        if rule.recorded:
            self.completed.append(Completed(xpath, value))
        self.undone.append(_undone(rule, xpath, base, found, value))
        return True

    def _is_of_firmware(self, file: etree._Element | None) -> bool:
        return (
            file is not None
            and file.get("role") in _FIRMWARE_FILES
            and file.get("path") in self.firmware
            and file.get("unread") is None
        )


def _undone(rule: Rule, xpath: str, base: etree._Element, found: etree._Element, value: str) -> Undone:
    """Return the difference that a rule undoes. For a whole element, the first value is None."""
    last = xpath.rpartition("/")[2]
    if last == "text()":
        return Undone(rule.kind, xpath, base.text, found.text, rule.recorded)
    if last.startswith("@"):
        return Undone(rule.kind, xpath, base.get(last[1:]), found.get(last[1:]), rule.recorded)
    return Undone(rule.kind, xpath, None, value or None, rule.recorded)


def _firmware_files(domain: etree._Element) -> set[str]:
    nvram = domain.find("os/nvram")
    named = (domain.findtext("os/loader"), None if nvram is None else nvram.text)
    template = None if nvram is None else nvram.get("template")
    return {one for one in (*named, template) if one}


def _numbered(parent: etree._Element) -> list[tuple[int, etree._Element]]:
    """Return the children of an element, each with its number among those of its tag."""
    counts: dict[str, int] = {}
    result = []
    for one in parent:
        tag = str(one.tag)
        counts[tag] = counts.get(tag, 0) + 1
        result.append((counts[tag], one))
    return result


_KEYS: Final = {"disk": ("target", "dev"), "interface": ("mac", "address")}
_ATTRIBUTES: Final = {
    "seclabel": ("model",),
    "feature": ("name",),
    "file": ("role", "target", "layer", "path"),
}


def _key(numbered: tuple[int, etree._Element]) -> tuple[str, ...]:
    """Return the key of an element among its siblings: its identifying values, else its number."""
    number, element = numbered
    tag = str(element.tag)
    if tag in _ATTRIBUTES:
        return (tag, *(element.get(name, "") for name in _ATTRIBUTES[tag]))
    if tag in _KEYS:
        child = element.find(_KEYS[tag][0])
        named = None if child is None else child.get(_KEYS[tag][1])
        if named is not None:
            return (tag, "=", named)
    return (tag, str(number))


def _written(element: etree._Element) -> str:
    return etree.tostring(element, method="c14n", exclusive=True).decode()
