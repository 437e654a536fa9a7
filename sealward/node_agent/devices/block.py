"""The identity of a block device: the volume behind `/dev/sdb`, `/dev/mapper/…` and their like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.devices import UNIDENTIFIED
from sealward.node_agent.devices.identity import Identity, of_scsi
from sealward.node_agent.devices.sysfs import names, subsystem, text

if TYPE_CHECKING:
    from pathlib import Path

    from sealward.node_agent.devices.sysfs import Sysfs

LAYERS: Final = 8
"""Block devices on top of each other that are followed."""
NO_FACTS: Final = "none"
_DESIGNATORS: Final = {"1": "t10.", "2": "eui.", "3": "naa."}
"""The types of names of volumes (SPC-4, section 7.8.6.1) as multipath writes them, and as the kernel does."""
_CRYPT: Final = re.compile(r"CRYPT-([A-Za-z0-9]+-[0-9a-f]{32})(?:-.*)?")
"""cryptsetup's name of a device: kind and UUID of the encrypted volume, and the name on the node."""


def of_block(sysfs: Sysfs, folder: Path, layers: int = LAYERS) -> Identity:
    """Return the identity of the block device in a folder of sysfs. Raises DeviceUnreadable."""
    if layers == 0:
        return Identity(UNIDENTIFIED, NO_FACTS)
    if (number := text(folder, "partition")) is not None:
        return _of_partition(sysfs, folder, number, layers)
    if (kind := text(folder, "dm/uuid")) is not None or (folder / "dm").is_dir():
        return _of_mapped(sysfs, folder, kind or "without a name", layers)
    named = _of_volume(sysfs, folder)
    if named is not None:
        return Identity(named, NO_FACTS)
    if names(folder, "slaves/*"):
        return Identity(f"{_kind(folder)} on {_below(sysfs, folder, layers)}", NO_FACTS)
    return Identity(UNIDENTIFIED, _of_this_node(folder))


def _of_partition(sysfs: Sysfs, folder: Path, number: str, layers: int) -> Identity:
    whole = of_block(sysfs, folder.parent, layers - 1)
    place = f"partition {number} from {text(folder, 'start')} of {text(folder, 'size')}"
    known = whole.everywhere == UNIDENTIFIED
    return Identity(UNIDENTIFIED if known else f"{place} of {whole.everywhere}", f"{place} of {whole.here}")


def _of_mapped(sysfs: Sysfs, folder: Path, kind: str, layers: int) -> Identity:
    """Return the identity of a device of the device mapper, by the program that made it."""
    part, _, rest = kind.partition("-") if kind.startswith("part") else ("", "", kind)
    if rest.startswith("mpath-"):
        wwn = rest.removeprefix("mpath-")
        name = f"wwn {_DESIGNATORS.get(wwn[:1], wwn[:1])}{wwn[1:]}"
    elif rest.startswith("LVM-"):
        name = f"lvm {rest.removeprefix('LVM-')}"
    elif (crypt := _CRYPT.fullmatch(rest)) is not None:
        name = f"crypt {crypt[1]} on {_below(sysfs, folder, layers)}"
    else:
        name = f"dm {rest} on {_below(sysfs, folder, layers)}"
    return Identity(f"{part} of {name}" if part else name, NO_FACTS)


def _of_volume(sysfs: Sysfs, folder: Path) -> str | None:
    """Return the name that a volume has by itself: a WWN, or what its kind has instead."""
    device = folder / "device"
    if (wwn := text(folder, "wwid")) is not None:  # NVMe
        return f"wwn {wwn}"
    if subsystem(device) == "scsi":
        found = of_scsi(sysfs, device.resolve())
        return None if found == UNIDENTIFIED else found
    if (image := text(device, "image_id")) is not None:
        place = (text(device, name) or "" for name in ("cluster_fsid", "pool", "pool_ns"))
        return f"rbd {'/'.join(place)}/{image}@{text(device, 'current_snap') or '-'}"
    for name, attribute in (
        ("md", folder / "md" / "uuid"),
        ("dasd", device / "uid"),
        ("mmc", device / "cid"),
        ("nd", device / "uuid"),
        ("serial", folder / "serial"),
    ):
        if (value := text(attribute.parent, attribute.name)) is not None:
            return f"{name} {value}"
    return None


def _of_this_node(folder: Path) -> str:
    """Return where a device that has no name by itself gets its content from, as far as its node says."""
    if (file := text(folder, "loop/backing_file")) is not None:
        limits = (text(folder, f"loop/{name}") for name in ("offset", "sizelimit"))
        return f"loop {file} {' '.join(str(one) for one in limits)}"
    if (backend := text(folder, "backend")) is not None:
        return f"nbd {backend}"
    return NO_FACTS


def _below(sysfs: Sysfs, folder: Path, layers: int) -> str:
    below = [of_block(sysfs, one, layers - 1) for one in names(folder, "slaves/*")]
    return f"({' and '.join(sorted(f'{one.everywhere}' for one in below))})"


def _kind(folder: Path) -> str:
    return folder.name.rstrip("0123456789") or folder.name
