"""Which files of a domain are measured, in which role, and whether by content or by identity.

It works on the parsed XML before noise is dropped, because the chain of images that a domain declares is
noise elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lxml import etree

from sealward.node_agent.files.discovery.arguments import read_by_qemu
from sealward.node_agent.files.discovery.chain import UNDECLARED, UNSTATED, Declared
from sealward.node_agent.files.refusals import DiskKindUnknown, FilesNotMeasured, NetworkDisk
from sealward.node_agent.measuring import profile

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOT_FILES: Final = {
    "kernel": "os/kernel/text()",
    "initrd": "os/initrd/text()",
    "shim": "os/shim/text()",
    "dtb": "os/dtb/text()",
    "loader": "os/loader[not(@readonly='no')]/text()",
    "nvram-template": "os/nvram/@template | os/varstore/@template",
    "acpi-table": "os/acpi/table/text()",
    "option-rom": "devices/*/rom/@file",
    "fwcfg": "sysinfo[@type='fwcfg']/entry/@file",
}
"""Files that run, or are believed, before the guest does: by role the XPath at which a domain names them."""
IDENTITY_FILES: Final = {
    "loader": "os/loader[@readonly='no']/text()",
    "nvram": "os/nvram/text() | os/nvram[not(@type) or @type='file']/source/@file | os/varstore/@path",
}
"""Files that firmware writes to at every boot, so that their content says nothing."""
_ARGUMENTS: Final = f"{{{profile.QEMU_NAMESPACE}}}commandline/{{{profile.QEMU_NAMESPACE}}}arg"
WITHOUT_FILE: Final = frozenset(("nvme", "vhostuser", "vdpa"))
"""Types of disks that are devices: all about them is in the domain's XML."""

_PATHS: Final = {
    role: etree.XPath(xpath, smart_strings=False)
    for role, xpath in (BOOT_FILES | {f"identity {k}": v for k, v in IDENTITY_FILES.items()}).items()
}


@dataclass(frozen=True, slots=True)
class BootFile:
    """A file that is measured as a whole or, with `is_identity`, by its name alone."""

    role: str
    path: str
    is_identity: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk that has an image. `role` is disk, lun, cdrom or floppy."""

    role: str
    target: str
    path: str
    format: str
    is_read_only: bool
    is_optional: bool
    declared: Declared = UNDECLARED


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk that names a volume of a storage pool: only libvirt knows the volume's path."""

    role: str
    target: str
    pool: str
    volume: str


def boot_files(domain: etree._Element) -> Iterator[BootFile]:
    """Yield the boot files, by role and then in document order; those in arguments of QEMU come last."""
    for role, xpath in _PATHS.items():
        kind, _, name = role.rpartition(" ")
        for path in _texts(xpath, domain):
            yield BootFile(name, path, is_identity=bool(kind))
    for path in read_by_qemu([one.get("value", "") for one in domain.iterfind(_ARGUMENTS)]):
        yield BootFile("argument", path)


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """A disk for which no file on this node is known, and the reason."""

    role: str
    target: str
    refusal: FilesNotMeasured


def disks(domain: etree._Element) -> Iterator[Disk | Volume | Unfollowed]:
    """Yield the disks that are not empty."""
    for disk in domain.iterfind("devices/disk"):
        try:
            found: Disk | Volume | Unfollowed | None = _disk(disk)
        except FilesNotMeasured as refused:
            found = Unfollowed(disk.get("device", "disk"), _attribute(disk, "target", "dev"), refused)
        if found is not None:
            yield found


def _disk(disk: etree._Element) -> Disk | Volume | None:
    """Return a disk; None for an empty drive. Raises NetworkDisk, DiskKindUnknown."""
    kind, role = disk.get("type", "file"), disk.get("device", "disk")
    target = _attribute(disk, "target", "dev")
    source = disk.find("source")
    if source is None or kind in WITHOUT_FILE:  # an empty drive
        return None
    match kind:
        case "file" | "block":
            path = source.get("file" if kind == "file" else "dev")
            return None if path is None else _image(disk, role, target, path)
        case "volume":
            return Volume(role, target, source.get("pool", ""), source.get("volume", ""))
        case "network":
            raise NetworkDisk(f"disk {target}: {source.get('protocol')}")
    raise DiskKindUnknown(f"disk {target}: type {kind}")


def _image(disk: etree._Element, role: str, target: str, path: str) -> Disk:
    is_read_only = role == "cdrom" or disk.find("readonly") is not None
    policy = _attribute(disk, "source", "startupPolicy")
    image_format = _attribute(disk, "driver", "type") or "raw"  # libvirt's default: it does not guess
    is_optional = policy in ("optional", "requisite")
    return Disk(role, target, path, image_format, is_read_only, is_optional, _declared(disk, target))


def _declared(disk: etree._Element, target: str) -> Declared:
    """Return the chain that the XML states; an empty <backingStore/> ends it. Raises NetworkDisk."""
    layers: list[tuple[str, str]] = []
    store = disk.find("backingStore")
    while store is not None and store.get("type") is not None:
        path = _attribute(store, "source", "file") or _attribute(store, "source", "dev")
        if not path:
            raise NetworkDisk(f"disk {target}: a layer of type {store.get('type')}")
        layers.append((path, _attribute(store, "format", "type") or UNSTATED))
        store = store.find("backingStore")
    return Declared(tuple(layers), is_whole=store is not None)


def _attribute(element: etree._Element, child: str, name: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(name, "")


def _texts(xpath: etree.XPath, domain: etree._Element) -> list[str]:
    found = xpath(domain)
    return [str(one) for one in found] if isinstance(found, list) else []
