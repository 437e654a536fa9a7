"""The belongings of a signed server: its name, and the disk that it boots from.

An unsigned server that has a belonging of a signed server takes the place of the signed server (`gate.judge`,
rule 12). Other disks may be attached to one server after another. Read-only and shareable disks are no
belongings, because many servers may have them at once. A volume is identified by its serial: the host gives
the device path of a volume to another volume as soon as the first volume is detached. A belonging is written
as a text of its kind and its value, for example `name web-1` or `file /var/lib/nova/instances/…/disk`.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import TYPE_CHECKING, Final

from sealward.events.findings.marks import MASK
from sealward.node_agent.measuring import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml import etree

SOURCES: Final = {
    "file": ("file",),
    "block": ("dev",),
    "dir": ("dir",),
    "volume": ("pool", "volume"),
    "network": ("protocol", "name"),
}
"""The attributes of a disk's source that name it, by the kind of the disk."""
PATHS: Final = frozenset(("file", "block", "dir"))
LONGEST: Final = 9
"""Digits of a boot order that are believed."""
LAST: Final = 10**LONGEST
_GIVEN_OUT: Final = re.compile(r"/dev/(?:sd|vd|xvd|hd|dm-|nvme|nbd|rbd|loop|zd|mapper/mpath).*")
"""Paths of devices that the host gives out in the order in which devices appear."""


def had_by(domain: etree._Element) -> frozenset[str]:
    """Return the belongings in a parsed domain, which may be those of another, signed server."""
    return frozenset(
        (f"name {domain.findtext('name', '')}", *(one for disk in _disks(domain) for one in disk))
    )


def of_evidence(evidence: bytes) -> frozenset[str]:
    """Return the belongings of a server from the evidence of its seal; none if that cannot be read."""
    try:
        inflater = zlib.decompressobj()
        root = canonical.parse(inflater.decompress(evidence, canonical.MAX_BYTES), "evidence")
    except (zlib.error, canonical.DomainXmlRefused):
        return frozenset()
    domain = root.find("config/domain")
    if domain is None:
        return frozenset()
    boot = next(iter(_disks(domain)), ())
    return frozenset(one for one in (f"name {domain.findtext('name', '')}", *boot) if MASK not in one)


def places(belongings: frozenset[str]) -> frozenset[str]:
    """Return the belongings, and those with a path once more without symbolic links. Reads the links."""
    found = set(belongings)
    for one in belongings:
        kind, _, path = one.partition(" ")
        if kind in PATHS:
            found.update(f"{other} {os.path.realpath(path)}" for other in PATHS)
    return frozenset(found)


def _disks(domain: etree._Element) -> list[tuple[str, ...]]:
    """Return the identifying texts of each disk that a domain writes to; the boot disk comes first."""
    own = [one for one in domain.iterfind("devices/disk") if _is_own(one)]
    return [tuple(_told(one)) for one in sorted(own, key=_boot_order)]


def _is_own(disk: etree._Element) -> bool:
    is_disk = disk.get("device", "disk") in ("disk", "lun") and disk.get("type", "file") in SOURCES
    is_shared = disk.find("readonly") is not None or disk.find("shareable") is not None
    return is_disk and not is_shared and disk.find("source") is not None


def _boot_order(disk: etree._Element) -> int:
    """Return the position of a disk in the boot order. Without a boot order the first disk boots."""
    boot = disk.find("boot")
    order = "" if boot is None else boot.get("order", "")
    return int(order) if order.isdecimal() and len(order) < LONGEST else LAST


def _told(disk: etree._Element) -> Iterator[str]:
    kind, source, serial = disk.get("type", "file"), disk.find("source"), disk.findtext("serial")
    if source is None:
        return
    if serial:
        yield f"serial {serial}"
    value = "/".join(source.get(name, "") for name in SOURCES[kind])
    path = os.path.normpath(value) if kind in PATHS else value
    if kind != "block" or not _GIVEN_OUT.fullmatch(path):
        yield f"{kind} {path}"
