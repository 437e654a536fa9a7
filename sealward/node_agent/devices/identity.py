"""The identity of a device: facts that tell the device from others, wherever its path or address leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.comparison.devices import UNIDENTIFIED
from sealward.node_agent.devices.sysfs import DEPTH, Sysfs, names, subsystem, text

if TYPE_CHECKING:
    from pathlib import Path


class Identity(NamedTuple):
    """The identity of a device on every node, and facts that count on its node alone; None for no facts."""

    everywhere: str | None
    here: str | None = None


NAA_BY_PLACE: Final = "IET"
"""The vendor of volumes of the iSCSI target `tgt`. It numbers the WWNs of its volumes by their place in the
target (usr/spc.c, scsi_id), so a restart can give a volume another WWN. The name of the target is used."""


def of_pci(folder: Path) -> Identity:
    """Return the identity of a PCI device: its ids. The revision can be another on another node."""
    vendor, device, other, model = (
        (text(folder, name) or "none").removeprefix("0x")
        for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
    )
    here = f"revision {text(folder, 'revision') or 'none'} class {text(folder, 'class') or 'none'}"
    return Identity(f"pci {vendor}:{device} subsystem {other}:{model}", here)


def of_usb(folder: Path) -> Identity:
    """Return the identity of a USB device: its ids. Another node has a device with another serial number."""
    ids = f"usb {text(folder, 'idVendor')}:{text(folder, 'idProduct')}"
    return Identity(ids, f"serial {text(folder, 'serial') or 'none'} revision {text(folder, 'bcdDevice')}")


def of_mdev(folder: Path) -> Identity:
    """Return the identity of a mediated device: its type, as nova compares it before a live migration.

    The ids of types depend on the driver of a node, and their names do not (vfio-mediated-device.rst).
    """
    kind = (folder / "mdev_type").resolve()
    parent = next((one for one in folder.parents if subsystem(one) == "pci"), None)
    on = "" if parent is None else f" on {of_pci(parent).everywhere}"
    name = text(kind, "name")
    return Identity(f"mdev {name or kind.name}", f"type {kind.name}{on}")


def of_scsi(sysfs: Sysfs, folder: Path) -> str:
    """Return the identity of a SCSI device: its WWN, or vendor, model and serial number."""
    vendor, model = text(folder, "vendor"), text(folder, "model")
    if vendor == NAA_BY_PLACE:
        return _of_target(sysfs, folder) or UNIDENTIFIED
    if (wwn := text(folder, "wwid")) is not None:
        return f"wwn {wwn}"
    serial = text(folder, "vpd_pg80")
    return UNIDENTIFIED if serial is None else f"scsi {vendor} {model} {serial}"


def of_char(sysfs: Sysfs, folder: Path) -> Identity:
    """Return the identity of a character device: that of the device behind it."""
    for one in sysfs.above(folder):
        if (one / "idVendor").exists():
            return of_usb(one)
        if subsystem(one) in {"nd", "dax"} and (memory := text(one, "uuid")) is not None:
            return Identity(f"nd {memory}")
        if subsystem(one) == "pci":
            return of_pci(one)
    if _is_virtual(sysfs, folder):
        return Identity(f"virtual {subsystem(folder)} {folder.name}")
    behind = next((found for one in sysfs.above(folder) if (found := text(one, "modalias"))), None)
    return Identity(f"{subsystem(folder)} {behind or UNIDENTIFIED}")


def of_network(sysfs: Sysfs, folder: Path, depth: int = 0) -> str:
    """Return the identity of a network device: the ids and addresses of the adapters that it is made of."""
    if _is_virtual(sysfs, folder):
        below = names(folder, "lower_*") if depth < DEPTH else []
        kind = next((one for one in (text(folder, "uevent") or "").split() if "DEVTYPE=" in one), "DEVTYPE=")
        inside = " and ".join(of_network(sysfs, one, depth + 1) for one in below)
        return f"net {kind.removeprefix('DEVTYPE=') or 'virtual'} of ({inside})"
    behind = of_char(sysfs, folder)
    is_permanent = text(folder, "addr_assign_type") == "0"
    address = text(folder, "address") if is_permanent else None
    return (
        f"net {behind.everywhere} port {text(folder, 'dev_port') or '0'} address {address or 'not its own'}"
    )


def _of_target(sysfs: Sysfs, folder: Path) -> str | None:
    """Return the name of the iSCSI target of a SCSI device, with its number in the target."""
    for one in sysfs.above(folder):
        session = sysfs.folder("class", "iscsi_session", one.name)
        if session is not None:
            name, number = text(session, "targetname"), folder.name.rpartition(":")[2]
            return None if name is None else f"iscsi {name} lun {number}"
    return None


def _is_virtual(sysfs: Sysfs, folder: Path) -> bool:
    return (sysfs.root.resolve() / "devices" / "virtual") in folder.parents
