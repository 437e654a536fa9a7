"""What libvirt makes of a definition at its start, undone again: the running form as it was before.

A running form has values that its definition does not have: libvirt rounds them, resolves them, picks them or
asks the node for them. `settle` holds a form against the definition that it was made of, and undoes each
difference that a rule below explains. What no rule explains stays, and is a difference.

Some of these values follow from the definition alone (*derived*), and for some any value will do (*assigned*,
*state*). Others are decided by the node: which firmware `firmware='efi'` is, which bridge a libvirt network
is. Such values *complete* the definition: `settle` returns them, and the first start after a seal makes them
known (`events.comparison.binding`, rule 4).

The rules follow libvirt's source (src/qemu/qemu_process.c, src/qemu/qemu_domain.c and
src/conf/domain_conf.c, 9.0 and 11.3); what was observed on libvirt 9.0 is in tests/assets/domains/started.
"""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from lxml import etree

from sealward.node_agent.measuring.classes import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MIB: Final = 1024
"""KiB to which libvirt rounds memory up."""
ALIGNMENTS: Final = {"ppc64": 256 * MIB, "ppc64le": 256 * MIB}
"""KiB to which libvirt rounds memory up on other architectures."""
_LONGEST: Final = 20
"""Digits of an amount of memory that are believed."""
_OWN_PATH: Final = re.compile(
    r"(?:/var/lib|/run|/var/run|/run/user/\d+)/libvirt/qemu/(?:[^/]+/)*(?:domain-)?\d+-([^/]+)/[^/]+"
)
"""A path that libvirt makes of number and shortened name of a running domain (virDomainDefGetShortName)."""
_SHORT_NAME: Final = 20
_NVRAM: Final = re.compile(r"/.*/qemu/nvram/([^/]+)_VARS\.(?:fd|qcow2|raw|img)")
_FIRMWARE_FILES: Final = frozenset(("loader", "nvram", "nvram-template"))
_NETWORK_TYPES: Final = frozenset(("bridge", "direct", "hostdev", "ethernet"))


class Completed(NamedTuple):
    """A value that the node has decided: where it is, and what it is."""

    xpath: str
    value: str


class Undone(NamedTuple):
    """A difference that is libvirt's doing: its class, where it is, and both values."""

    kind: Kind
    xpath: str
    signed: str | None
    found: str | None
    is_recorded: bool


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two counterparts: of the definition and of the form that was made of it."""

    base: etree._Element
    found: etree._Element
    base_domain: etree._Element
    found_domain: etree._Element
    firmware: set[str]
    """The files of the firmware that was picked."""
    is_definition: bool
    """Whether the form is a definition itself, of which less is accepted: anybody may have written it."""

    def text(self, path: str) -> str:
        """Return a text of the definition."""
        return self.base_domain.findtext(path) or ""

    @property
    def picks_firmware(self) -> bool:
        """Say whether the definition leaves the firmware to the node."""
        return self.base_domain.find("os[@firmware]") is not None

    def device(self) -> etree._Element:
        """Return the device of the definition that this is a part of."""
        one = self.base
        while (above := one.getparent()) is not None and above.tag != "devices":
            one = above
        return one


@dataclass(frozen=True, slots=True)
class Rule:
    """Why a difference at a place is libvirt's doing, and what it must be like.

    `accepts` gets the counterparts that the difference is in, and the value: of an attribute or text as it
    is, of an element its tag. What is `recorded` completes the definition.
    """

    kind: Kind
    why: str
    accepts: Callable[[Meeting, str], bool]
    recorded: bool = False


def _always(_meeting: Meeting, _value: str) -> bool:
    return True


def _of_running_form(meeting: Meeting, _value: str) -> bool:
    return not meeting.is_definition


def _of_firmware(meeting: Meeting, _value: str) -> bool:
    return meeting.picks_firmware


def _of_network(meeting: Meeting, _value: str) -> bool:
    return meeting.device().get("type") == "network"


def _network_type(meeting: Meeting, value: str) -> bool:
    is_lent = value == "hostdev"  # a device that the network lends for the time that the server runs
    is_of_network = meeting.base.get("type") == "network" and value in _NETWORK_TYPES
    return is_of_network and not (is_lent and meeting.is_definition)


def _loader(meeting: Meeting, _value: str) -> bool:
    return meeting.picks_firmware and not meeting.text("os/loader")


def _nvram(meeting: Meeting, _value: str) -> bool:
    path = meeting.found.findtext("nvram") if meeting.found.tag == "os" else meeting.found.text
    made = _NVRAM.fullmatch(path or "")
    return meeting.picks_firmware and made is not None and made[1] == meeting.text("name")


def _firmware_gone(meeting: Meeting, _value: str) -> bool:
    return bool(meeting.firmware)


def _is_on(meeting: Meeting, _value: str) -> bool:
    smm = (
        meeting.found.find("smm")
        if meeting.found.tag == "features"
        else meeting.found_domain.find("features/smm")
    )
    return meeting.picks_firmware and smm is not None and dict(smm.attrib) == {"state": "on"} and not len(smm)


def _only_smm(meeting: Meeting, value: str) -> bool:
    features = meeting.found_domain.find("features")
    return features is not None and [one.tag for one in features] == ["smm"] and _is_on(meeting, value)


def _rounded(meeting: Meeting, value: str) -> bool:
    """Libvirt rounds the memory of each NUMA cell up, or that of the whole domain where it has no cells."""
    before = (meeting.base.text or "").strip()
    if not (before.isdecimal() and value.isdecimal()) or len(value) > _LONGEST:
        return False
    if {meeting.base.get("unit", "KiB"), meeting.found.get("unit", "KiB")} != {"KiB"}:
        return False
    machine = meeting.base_domain.find("os/type")
    step = ALIGNMENTS.get("" if machine is None else machine.get("arch", ""), MIB)
    cells = max(1, len(meeting.base_domain.findall("cpu/numa/cell")))
    return 0 <= int(value) - int(before) < step * cells and int(value) % step == 0


def _ballooned(meeting: Meeting, value: str) -> bool:
    """A balloon moves a running form alone, at the wish of the guest or of a manager, up to all there is."""
    balloon = meeting.found_domain.find("devices/memballoon")
    memory = meeting.found_domain.findtext("memory") or ""
    return (
        balloon is not None
        and not meeting.is_definition
        and balloon.get("model") != "none"
        and value.isdecimal()
        and memory.isdecimal()
        and len(value) <= len(memory)
        and int(value) <= int(memory)
    )


def _without_address(meeting: Meeting, _value: str) -> bool:
    """The listener of a console has no address of its own: qemu.conf, or a libvirt network, has it."""
    device = meeting.device()
    return device.get("listen") is None and device.find("listen[@address]") is None


def _usb_by_product(meeting: Meeting, _value: str) -> bool:
    source = meeting.base
    is_usb = meeting.device().get("type") == "usb"
    return is_usb and source.find("vendor") is not None and source.find("product") is not None


def _is_no(_meeting: Meeting, value: str) -> bool:
    return value == "no"


def _optional_medium(meeting: Meeting, _value: str) -> bool:
    source = meeting.base.find("source")
    is_removable = meeting.base.get("device") in {"cdrom", "floppy"}
    return is_removable and source is not None and source.get("startupPolicy") in {"optional", "requisite"}


def _virtiofs(meeting: Meeting, _value: str) -> bool:
    return meeting.device().find("driver[@type='virtiofs']") is not None


def _of_firmware_file(meeting: Meeting, _value: str) -> bool:
    return meeting.picks_firmware


_DERIVED, _ASSIGNED, _STATE = Kind.DERIVED, Kind.ASSIGNED, Kind.STATE
_NET: Final = "what a libvirt network is on this node: type, bridge or device, and what the network sets"
_EFI: Final = "the firmware that the node picks for firmware='efi' or 'bios'"
_CONSOLE: Final = "the address of a console that has none of its own: of a libvirt network, or qemu.conf's"

ADDED: Final = {
    "os/loader": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/loader/@readonly": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/loader/@type": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/loader/@secure": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/loader/@stateless": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/loader/@format": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/nvram": Rule(_DERIVED, _EFI + "; the path is made of the name", _nvram, recorded=True),
    "os/nvram/@template": Rule(_DERIVED, _EFI, _of_firmware, recorded=True),
    "os/nvram/@templateFormat": Rule(_DERIVED, _EFI, _of_firmware, recorded=True),
    "os/nvram/@format": Rule(_DERIVED, _EFI, _of_firmware, recorded=True),
    "os/firmware": Rule(_DERIVED, _EFI, _of_firmware, recorded=True),
    "os/firmware/feature": Rule(_DERIVED, _EFI, _of_firmware, recorded=True),
    "features": Rule(_DERIVED, "secure boot needs system management mode", _only_smm),
    "features/smm": Rule(_DERIVED, "secure boot needs system management mode", _is_on),
    "files/file": Rule(_DERIVED, _EFI + ": its files", _of_firmware_file, recorded=True),
    "devices/interface/source/@bridge": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/source/@dev": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/source/@mode": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/source/address": Rule(
        _ASSIGNED, "the virtual function that a libvirt network lends", _of_network
    ),
    "devices/interface/source/@type": Rule(_ASSIGNED, "as above", _of_network),
    "devices/interface/@managed": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/virtualport": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/bandwidth": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/vlan": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/mtu": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/port": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/interface/driver": Rule(_DERIVED, _NET, _of_network, recorded=True),
    "devices/graphics/@listen": Rule(_DERIVED, _CONSOLE, _without_address, recorded=True),
    "devices/graphics/listen/@address": Rule(_DERIVED, _CONSOLE, _without_address, recorded=True),
    "devices/graphics/gl/@rendernode": Rule(_DERIVED, "the GPU that the node picks", _always, recorded=True),
    "devices/hostdev/source/address": Rule(
        _ASSIGNED, "where a USB device that is known by vendor and product is plugged in", _usb_by_product
    ),
    "devices/disk/mirror": Rule(
        _STATE, "a block job that runs; what it leaves behind is measured", _of_running_form
    ),
    "devices/memory/address": Rule(_ASSIGNED, "the slot of a memory device", _always),
    "devices/memory/address/@slot": Rule(_ASSIGNED, "the slot of a memory device", _always),
    "devices/filesystem/binary": Rule(
        _DERIVED, "the program that serves the file system, as the node has it", _virtiofs, recorded=True
    ),
    "devices/filesystem/binary/@path": Rule(_DERIVED, "as above", _virtiofs, recorded=True),
    "devices/tpm/backend/profile": Rule(
        _DERIVED, "the profile that swtpm picks at its first start", _always, recorded=True
    ),
    "launchSecurity/cbitpos": Rule(_DERIVED, "a property of the processor", _always, recorded=True),
    "launchSecurity/reducedPhysBits": Rule(_DERIVED, "a property of the processor", _always, recorded=True),
}
"""What a form may have beyond its definition, by place."""

CHANGED: Final = {
    "os/loader/text()": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/nvram/text()": Rule(_DERIVED, _EFI + "; the path is made of the name", _nvram, recorded=True),
    "memory/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "maxMemory/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "devices/memory/target/size/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "currentMemory/text()": Rule(_STATE, "moved by a balloon", _ballooned),
    "devices/interface/@type": Rule(_DERIVED, _NET, _network_type, recorded=True),
}
"""What may have another value than in the definition, by place."""

REMOVED: Final = {
    "os/@firmware": Rule(_DERIVED, _EFI, _firmware_gone),
    "os/firmware": Rule(_DERIVED, _EFI, _firmware_gone),
    "devices/disk/source": Rule(
        _STATE, "a medium that a start may do without was not there", _optional_medium
    ),
    "devices/interface/source/@network": Rule(_DERIVED, _NET, _of_network),
    "devices/interface/source/@portgroup": Rule(_DERIVED, _NET, _of_network),
}
"""What a form may lack that its definition has, by place."""

ANYWHERE: Final = (
    Rule(_DERIVED, "a port over TCP is not encrypted where neither definition nor qemu.conf says so", _is_no),
    Rule(_DERIVED, "sockets in the folder of a running domain, which has its number", _always),
    Rule(_ASSIGNED, "addresses on the guest's buses", _always),
)
"""What may be added wherever it occurs: `source/@tls`, paths of the domain's own folder, `address`."""


def settle(
    base: etree._Element, found: etree._Element, *, is_definition: bool = False
) -> tuple[Completed, ...]:
    """Undo in a normalised form what libvirt made of a normalised definition; return what completes it.

    `found` may hold some parts of a domain only. It is a definition itself where somebody defined a domain
    anew from a running form. Both may come from evidence that anybody has written.
    """
    return _Settling(base, found, is_definition).run()


def undone(base: etree._Element, found: etree._Element, *, is_definition: bool = False) -> tuple[Undone, ...]:
    """Return each difference that `settle` undoes in such a form, which it changes as well."""
    settling = _Settling(base, found, is_definition)
    settling.run()
    return tuple(settling.undone)


def digest(completed: Iterable[Completed]) -> str:
    """Return the SHA-256 hex of what completes a definition."""
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
        """Say whether an attribute is one that a start adds wherever it occurs."""
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
    """Return what a rule undoes; an element has its own value on the side that it is missing on."""
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
    """Return what tells an element among its siblings: what identifies it, else its number."""
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
