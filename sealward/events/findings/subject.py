"""The parts of a domain that findings speak of: the word of each part in codes and in sentences.

A device is added, removed, changed or moved among its siblings. So a device has four codes: `disk-added`,
`disk-removed`, `disk-changed` and `disk-moved`. Any other part has one code, such as `cpu-changed`. A part
that is not listed is an unknown element: the code `unknown-changed`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Subject:
    """A part of a domain.

    `word` begins the code, `noun` begins the sentence. `look` says what to look at after a change.
    """

    word: str
    noun: str
    look: str


_IMAGE: Final = "compare the image or volume with what the administrator of the server has asked for"
_CARD: Final = "compare the network and the address of the port with what the cloud has for the server"
_GUEST: Final = "ask the administrator of the server for the change of the device"

DEVICES: Final = {
    "disk": Subject("disk", "Disk", _IMAGE),
    "filesystem": Subject("filesystem", "Shared file system", "look at which folder of the node it shares"),
    "interface": Subject("interface", "Network interface", _CARD),
    "hostdev": Subject("host-device", "Device of the host", "look at which device of the node it is"),
    "redirdev": Subject("redirected-device", "Redirected device", _GUEST),
    "redirfilter": Subject("redirection-filter", "Filter of redirected devices", _GUEST),
    "graphics": Subject("console", "Graphical console", "look at who can reach the console, and how"),
    "video": Subject("video", "Video card", _GUEST),
    "emulator": Subject("emulator", "Emulator", "look at which program runs the server"),
    "controller": Subject("controller", "Controller", _GUEST),
    "channel": Subject("channel", "Channel", "look at what the channel connects to on the node"),
    "serial": Subject("serial", "Serial port", "look at what the port connects to on the node"),
    "console": Subject("serial-console", "Text console", "look at what the console connects to"),
    "parallel": Subject("parallel", "Parallel port", "look at what the port connects to on the node"),
    "memory": Subject("memory-device", "Memory device", "look at the file or device behind the memory"),
    "tpm": Subject("tpm", "TPM", "look at whether the keys of the guest are still its own"),
    "rng": Subject("rng", "Source of random numbers", "look at where the random numbers come from"),
    "shmem": Subject("shared-memory", "Shared memory", "look at which process shares the memory"),
    "vsock": Subject("vsock", "Socket to the host", _GUEST),
    "watchdog": Subject("watchdog", "Watchdog", _GUEST),
    "memballoon": Subject("balloon", "Memory balloon", _GUEST),
    "nvram": Subject("nvram-device", "NVRAM device", _GUEST),
    "input": Subject("input", "Input device", _GUEST),
    "sound": Subject("sound", "Sound card", _GUEST),
    "audio": Subject("audio", "Sound backend", _GUEST),
    "smartcard": Subject("smartcard", "Smart card", _GUEST),
    "panic": Subject("panic", "Panic device", _GUEST),
    "iommu": Subject("iommu", "IOMMU", _GUEST),
    "crypto": Subject("crypto", "Crypto device", _GUEST),
    "hub": Subject("hub", "USB hub", _GUEST),
    "lease": Subject("lease", "Lease", _GUEST),
    "pstore": Subject("pstore", "Persistent store", _GUEST),
}
"""The devices by element below <devices>."""

_NAMES: Final = Subject("identity", "Identity", "look at which server this is: name, UUID, description")
_TABLES: Final = Subject("smbios", "SMBIOS table", "look at what the guest reads about its machine")
_BOOT: Final = Subject("boot", "Boot settings", "look at what boots: firmware, kernel, command line, order")
_CPU: Final = Subject("cpu", "Processor", "compare the model and the features with the flavor")
_MEMORY: Final = Subject("memory", "Memory", "compare the size with the flavor")
_BACKING: Final = Subject("memory-backing", "Memory backing", "look at who else can read the memory")
_TUNING: Final = Subject("tuning", "Resources", "compare processors, pinning and limits with the flavor")
_FEATURES: Final = Subject("features", "Features", "look at what the machine offers to the guest")
_CLOCK: Final = Subject("clock", "Clock", "look at which time the guest sees")
_POWER: Final = Subject(
    "lifecycle", "Actions at power-off, reboot and crash", "look at what libvirt does then"
)
_SECURITY: Final = Subject("security", "Confinement", "look at what keeps the server in: labels, encryption")
_METADATA: Final = Subject("metadata", "Metadata", "ask which tool wrote the metadata")
_ARGUMENTS: Final = Subject("qemu-arguments", "Arguments for QEMU", "read each argument: none is checked")
_UNKNOWN: Final = Subject("unknown", "Unknown element", "read libvirt's page about the element")

ELEMENTS: Final = {
    **dict.fromkeys(("name", "uuid", "genid", "hwuuid", "title", "description"), _NAMES),
    "sysinfo": _TABLES,
    **dict.fromkeys(("os", "bootloader", "bootloader_args"), _BOOT),
    "cpu": _CPU,
    **dict.fromkeys(("memory", "currentMemory", "maxMemory"), _MEMORY),
    "memoryBacking": _BACKING,
    **dict.fromkeys(
        (
            *("vcpu", "vcpus", "iothreads", "iothreadids", "defaultiothread", "cputune", "memtune"),
            *("numatune", "blkiotune", "throttlegroups", "resource", "perf"),
        ),
        _TUNING,
    ),
    **dict.fromkeys(("features", "pm"), _FEATURES),
    "clock": _CLOCK,
    **dict.fromkeys(("on_poweroff", "on_reboot", "on_crash", "on_lockfailure"), _POWER),
    **dict.fromkeys(("seclabel", "launchSecurity", "keywrap", "idmap"), _SECURITY),
    "metadata": _METADATA,
}
"""The other parts by element below <domain>."""
OF_SECTIONS: Final = {"identity": _NAMES, "qemu-ext": _ARGUMENTS}
"""The parts that no element names: the attributes of <domain>, and the arguments for QEMU."""
UNKNOWN: Final = _UNKNOWN
_WORDS_OF_DEVICES: Final = frozenset(one.word for one in DEVICES.values())
_SEPARATORS: Final = re.compile(r'[/"\[\]]')
_SEPARATORS_BUT_SLASH: Final = re.compile(r'["\[\]]')


def subject_of(section: str, xpath: str) -> Subject:
    """Return the part of a domain that a finding about a section speaks of."""
    steps = steps_of(xpath)[2:]
    if section in OF_SECTIONS and (not steps or steps[0].startswith("@") or section == "qemu-ext"):
        return OF_SECTIONS[section]
    names = [step.partition("[")[0] for step in steps]
    if names[:1] == ["devices"]:
        return DEVICES.get(names[1], UNKNOWN) if len(names) > 1 else UNKNOWN
    return ELEMENTS.get(names[0], UNKNOWN) if names else UNKNOWN


def is_device(subject: Subject) -> bool:
    """Say whether a part is a device, which has a code for each way to change."""
    return subject.word in _WORDS_OF_DEVICES


@functools.lru_cache(maxsize=1024)
def steps_of(xpath: str) -> tuple[str, ...]:
    """Return the steps of an XPath with their conditions. A slash in a condition separates nothing.

    The same few XPaths come again and again: code and sentence of a finding ask for the steps several times,
    and a change to a fleet changes the same place of many servers.
    """
    if not _SEPARATORS_BUT_SLASH.search(xpath):
        return tuple(xpath.split("/"))
    steps, begin, depth, quoted = [], 0, 0, False
    for found in _SEPARATORS.finditer(xpath):
        character = found[0]
        quoted ^= character == '"'
        if not quoted:
            depth += (character == "[") - (character == "]")
        if character == "/" and not depth and not quoted:
            steps.append(xpath[begin : found.start()])
            begin = found.end()
    return (*steps, xpath[begin:])
