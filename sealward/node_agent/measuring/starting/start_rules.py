"""The rules for the changes that libvirt makes to a domain when it starts: which difference, where, and why.

The rules follow libvirt's source (src/qemu/qemu_process.c, src/qemu/qemu_domain.c and
src/conf/domain_conf.c, 9.0 and 11.3). Domains that were observed on libvirt 9.0 are in
tests/assets/domains/started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.findings.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml import etree

MIB: Final = 1024
"""KiB to which libvirt rounds memory up."""
ALIGNMENTS: Final = {"ppc64": 256 * MIB, "ppc64le": 256 * MIB}
"""KiB to which libvirt rounds memory up on other architectures."""
_LONGEST: Final = 20
"""Digits of an amount of memory that are believed."""
_NVRAM: Final = re.compile(r"/.*/qemu/nvram/([^/]+)_VARS\.(?:fd|qcow2|raw|img)")
_NETWORK_TYPES: Final = frozenset(("bridge", "direct", "hostdev", "ethernet"))


@dataclass(frozen=True, slots=True)
class Meeting:
    """An element of a definition and its counterpart in the form that was made of the definition."""

    base: etree._Element
    found: etree._Element
    base_domain: etree._Element
    found_domain: etree._Element
    firmware: set[str]
    """The files of the firmware that the node picked."""
    is_definition: bool
    """Whether the form is a definition. Fewer rules accept it, because any user may write a definition."""

    def text(self, path: str) -> str:
        """Return a text of the definition."""
        return self.base_domain.findtext(path) or ""

    @property
    def picks_firmware(self) -> bool:
        """Say whether the definition leaves the firmware to the node."""
        return self.base_domain.find("os[@firmware]") is not None

    def device(self) -> etree._Element:
        """Return the device of the definition that this element is or belongs to."""
        one = self.base
        while (above := one.getparent()) is not None and above.tag != "devices":
            one = above
        return one


@dataclass(frozen=True, slots=True)
class Rule:
    """The reason why libvirt makes a difference at a place, and the condition that the difference must meet.

    `accepts` gets the counterparts that contain the difference, and the value: an attribute's value, a text,
    or the tag of an element. A `recorded` value completes the definition.
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
    is_lent = value == "hostdev"  # a device that the network lends while the server runs
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
    """Libvirt rounds up the memory of each NUMA cell, or the memory of a domain without NUMA cells."""
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
    """A balloon changes the memory of a running form alone, up to the maximum, for the guest or a manager."""
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
    """The listener of a console has no address: qemu.conf or a libvirt network gives the address."""
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
"""Rules for parts that a form may have and its definition has not, by place."""

CHANGED: Final = {
    "os/loader/text()": Rule(_DERIVED, _EFI, _loader, recorded=True),
    "os/nvram/text()": Rule(_DERIVED, _EFI + "; the path is made of the name", _nvram, recorded=True),
    "memory/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "maxMemory/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "devices/memory/target/size/text()": Rule(_DERIVED, "rounded up at start", _rounded),
    "currentMemory/text()": Rule(_STATE, "moved by a balloon", _ballooned),
    "devices/interface/@type": Rule(_DERIVED, _NET, _network_type, recorded=True),
}
"""Rules for values that may differ from the value in the definition, by place."""

REMOVED: Final = {
    "os/@firmware": Rule(_DERIVED, _EFI, _firmware_gone),
    "os/firmware": Rule(_DERIVED, _EFI, _firmware_gone),
    "devices/disk/source": Rule(
        _STATE, "a medium that a start may do without was not there", _optional_medium
    ),
    "devices/interface/source/@network": Rule(_DERIVED, _NET, _of_network),
    "devices/interface/source/@portgroup": Rule(_DERIVED, _NET, _of_network),
}
"""Rules for parts that a definition has and its form may lack, by place."""

ANYWHERE: Final = (
    Rule(_DERIVED, "a port over TCP is not encrypted where neither definition nor qemu.conf says so", _is_no),
    Rule(_DERIVED, "sockets in the folder of a running domain, which has its number", _always),
    Rule(_ASSIGNED, "addresses on the guest's buses", _always),
)
"""Rules for parts that a start may add anywhere: `source/@tls`, paths of the domain's folder, `address`."""
