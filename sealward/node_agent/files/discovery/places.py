"""The places of a domain where libvirt's schema allows a text that begins with a slash.

From libvirt's RELAX NG schema (src/conf/schemas/domain.rng and its includes, 9.0 and 11.3): each place of the
types `absFilePath`, `filePath` and `absDirPath`, and each place of a text that may be a path. The rest of
`discovery` says which of these places name files that are measured, and how.

A place that is not listed is of a newer libvirt. A text there that looks like a path may name a file that
decides what runs, and no rule says how to measure that file. So the server cannot be vouched for: its verdict
is unknown (`file-place-unknown`). What <metadata> and other namespaces hold is not read by libvirt's drivers,
except for QEMU's, whose arguments have rules of their own (`options`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHARACTER_DEVICE: Final = (
    *("@tty", "log/@file", "target/@port", "target/@address", "target/@name"),
    *(f"source/@{name}" for name in ("channel", "host", "master", "mode", "path", "service", "slave")),
    *("source/seclabel/@model", "source/seclabel/label", "source/seclabel/@relabel"),
)
_SOUND: Final = ("clientName", "connectPorts", "dev", "name", "serverName", "streamName")
_ENCRYPTION: Final = (
    *("cipher/@hash", "cipher/@mode", "cipher/@name", "ivgen/@hash", "ivgen/@name"),
    *("secret/@usage", "secret/@uuid"),
)
_STORAGE: Final = (
    *(f"source/@{name}" for name in ("dev", "dir", "fdgroup", "file", "name", "path", "pool", "query")),
    *("source/@tlsHostname", "source/@volume", "source/config/@file", "source/cookies/cookie"),
    *(f"source/encryption/{one}" for one in _ENCRYPTION),
    *("source/host/@socket", "source/identity/@agentsock", "source/identity/@keyfile"),
    *("source/host/@name", "source/identity/@username", "source/initiator/iqn/@name"),
    *("source/knownHosts/@path", "source/reservations/source/@path", "source/snapshot/@name"),
    *("source/seclabel/@model", "source/seclabel/label", "source/auth/secret/@usage"),
)
KNOWN: Final = {
    "": ("bootloader", "bootloader_args", "description", "name", "title"),
    "blkiotune": ("device/path",),
    "clock": ("@timezone",),
    "cpu": ("model", "vendor"),
    "cputune": ("cachetune/@id",),
    "features": ("hyperv/vendor_id/@value",),
    "idmap": (),
    "launchSecurity": ("dhCert", "guestVisibleWorkarounds", "hostData", "idAuth", "idBlock", "session"),
    "os": (
        *("acpi/table", "cmdline", "dtb", "init", "initarg", "initdir", "initenv", "initrd", "kernel"),
        *("loader", "nvram", "nvram/@template", "root", "shim", "varstore/@path", "varstore/@template"),
        *(f"nvram/{one}" for one in _STORAGE),
    ),
    "resource": ("fibrechannel/@appid", "partition"),
    "seclabel": ("@model", "baselabel", "imagelabel", "label"),
    "sysinfo": (
        *(f"{table}/entry" for table in ("baseBoard", "bios", "chassis", "oemStrings", "system")),
        *("entry", "entry/@file", "entry/@name", "processor/entry", "memory_device/entry"),
    ),
    "throttlegroups": ("throttlegroup/group_name",),
    "devices/audio": (
        *("@path", "@runtimeDir", "@serverName"),
        *(f"{way}/@{name}" for way in ("input", "output") for name in _SOUND),
    ),
    **dict.fromkeys(
        (f"devices/{one}" for one in ("channel", "console", "parallel", "redirdev", "serial")),
        _CHARACTER_DEVICE,
    ),
    "devices/disk": (
        *("backenddomain/@name", "iotune/group_name", "product", "serial", "vendor"),
        *("throttlefilters/throttlefilter/@group", "auth/secret/@usage", "blockio/@name", "@file"),
        *(f"encryption/{one}" for one in _ENCRYPTION),
        *_STORAGE,
    ),
    "devices/emulator": ("",),
    "devices/filesystem": (
        *("binary/@path", "source/@dev", "source/@dir", "source/@file", "source/@name", "source/@socket"),
        *("source/@pool", "source/@volume", "target/@dir"),
    ),
    "devices/graphics": (
        *("@address", "@display", "@keymap", "@passwd", "@socket", "@username", "@xauth"),
        *("gl/@rendernode", "listen/@network", "listen/@socket"),
    ),
    "devices/hostdev": (
        *("rom/@file", "source/@name", "source/adapter/@name", "source/adapter/@parent", "source/block"),
        *("source/char", "source/host/@name", "source/initiator/iqn/@name", "source/interface"),
    ),
    "devices/input": ("source/@dev", "source/@evdev"),
    "devices/interface": (
        *("backend/@logFile", "backend/@tap", "backend/@vhost", "backenddomain/@name"),
        *("downscript/@path", "guest/@actual", "guest/@dev", "portForward/@dev", "rom/@file"),
        *("script/@path", "source/@bridge", "source/@dev", "source/@name", "source/@network"),
        *("source/@path", "source/@portgroup", "source/@portgroupid", "target/@dev"),
        *("virtualport/parameters/@profileid", "filterref/parameter/@value"),
    ),
    "devices/lease": ("key", "lockspace", "target/@path"),
    "devices/memory": ("source/path",),
    "devices/pstore": ("path",),
    "devices/rng": ("backend", *(f"backend/{one}" for one in _CHARACTER_DEVICE)),
    "devices/shmem": ("server/@path",),
    "devices/smartcard": ("certificate", "database", *_CHARACTER_DEVICE),
    "devices/tpm": ("backend/device/@path", "backend/source/@path"),
    "devices/video": ("model/acceleration/@rendernode",),
}
"""The places by the element of the domain, or by the device."""
_ANY_DEVICE: Final = frozenset(("rom/@file", "alias/@name", "seclabel/label", "seclabel/@model"))
"""Places that any device has."""
_NESTED: Final = re.compile(r"(?<=/)(?:backingStore|mirror|dataStore)/")
_REPEATED: Final = re.compile(r"(?<=/)(?:source/)+")
"""An image below an image, and the data of an image, have the places of the image."""
_MOST: Final = 50
"""Paths in unknown places that are named, at most."""
_LONGEST: Final = 4096
"""Characters of a place or a path that are kept."""


def unknown(domain: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each text in an unknown place that looks like a path; at most _MOST."""
    left = _MOST
    for element in domain.iterchildren(tag=etree.Element):
        for place, text in _texts(element, str(element.tag)):
            if left and _looks_like_path(text) and not _is_known(place):
                left -= 1
                yield place[:_LONGEST], text.strip()[:_LONGEST]


def _texts(element: etree._Element, place: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes and texts of an element and below it, each with its place."""
    if place == "metadata" or place.startswith("{"):
        return
    for name in map(str, element.keys()):
        yield f"{place}/@{name}", element.get(name, "")
    yield place, element.text or ""
    for child in element.iterchildren(tag=etree.Element):
        yield from _texts(child, f"{place}/{child.tag!s}")


def _looks_like_path(text: str) -> bool:
    start = text.strip()
    return len(start) > 1 and start[0] == "/"


def _is_known(place: str) -> bool:
    steps = _REPEATED.sub("source/", _NESTED.sub("", f"/{place}"))[1:].split("/")
    size = 2 if steps[0] == "devices" else 1
    owner, rest = "/".join(steps[:size]), "/".join(steps[size:])
    is_own = rest in KNOWN.get(owner, ()) or (not rest and owner in KNOWN[""])
    return is_own or (steps[0] == "devices" and rest in _ANY_DEVICE) or "alias/@name" in place
