"""The devices of the node that a domain is given, each with its identity (`events.comparison.devices`).

Every text in a device of the domain that begins with /dev/ is looked at, so a new element of libvirt that
names a device node is covered. Devices that are named by an address, an id or a network name are listed here.
Devices that libvirt picks at a start (a virtual function of a network) are not covered.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from sealward.characters import escaped
from sealward.events.comparison.devices import ABSENT, HERE, PREFIX, UNIDENTIFIED
from sealward.node_agent.devices.block import of_block
from sealward.node_agent.devices.identity import (
    Identity,
    of_char,
    of_mdev,
    of_network,
    of_pci,
    of_scsi,
    of_usb,
)
from sealward.node_agent.devices.sysfs import DeviceUnreadable, Sysfs, names, text
from sealward.node_agent.measuring import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lxml import etree

MOST: Final = 200
"""Devices of one domain that are looked at."""
LONGEST: Final = 500
"""Bytes of a name that are kept."""
MARKS: Final = re.compile(
    "<hostdev|type='(?:direct|nvme|hostdev)'"
    r"|/dev/(?!(?:urandom|random|null|zero|full)['<]|(?:pts|shm|fd)/|hugepages)"
)
"""It is in the XML of each domain with a device of the node: libvirt puts values in single quotes. Parsing
the XML of a domain without a device would double the time that measuring takes."""
NODES: Final = "/dev/"
NO_DEVICES: Final = ("/dev/pts/", "/dev/shm/", "/dev/hugepages", "/dev/fd/")  # noqa: S108 - paths in XML
"""Below these paths there are terminals and files, no devices."""
OF_THE_KERNEL: Final = frozenset(("/dev/urandom", "/dev/random", "/dev/null", "/dev/zero", "/dev/full"))
"""These device nodes are the same on every host."""


class NotThere(Exception):
    """A device is not there, or cannot be seen by this process."""


def facts(sysfs: Sysfs, config: str | etree._Element) -> dict[str, str]:
    """Return the identities of the devices of the node in a definition, by name; reads sysfs alone.

    A device that is not there, or that cannot be read, has no entry. Raises DomainXmlRefused.
    """
    if isinstance(config, str):
        if MARKS.search(config) is None:
            return {}
        config = canonical.parse(config)
    found: dict[str, str] = {}
    for name, is_optional, look in islice(_given(sysfs, config), MOST):
        try:
            identity = look()
        except DeviceUnreadable:
            continue
        except NotThere:
            if not is_optional:
                continue
            identity = Identity(ABSENT)
        key = f"{PREFIX}{escaped(name, LONGEST)}"
        found |= {} if identity.everywhere is None else {key: identity.everywhere}
        found |= {} if identity.here is None else {f"{key}{HERE}": identity.here}
    return found


def _given(sysfs: Sysfs, domain: etree._Element) -> Iterator[tuple[str, bool, Callable[[], Identity]]]:
    """Yield each device of the node: its name, whether it may be missing, the reader of its identity."""
    seen: Counter[str] = Counter()
    for device in domain.iterfind("devices/*"):
        tag = str(device.tag)
        seen[tag] += 1
        name = f"{tag}/{_label(device) or seen[tag]}"
        source = device.find("source")
        is_optional = source is not None and source.get("startupPolicy", "mandatory") != "mandatory"
        look = None if source is None else _addressed(sysfs, device, source)
        if look is not None:
            yield name, is_optional, look
        for count, path in enumerate(_nodes(device), 1):
            of_path = _at(sysfs, path)
            yield (name if count == 1 and look is None else f"{name}/{count}"), is_optional, of_path


def _label(device: etree._Element) -> str | None:
    """Return the part of a domain's device that names it, at any position; None for no such part."""
    target, mac = device.find("target"), device.find("mac")
    if device.tag == "disk" and target is not None:
        return target.get("dev")
    return mac.get("address") if device.tag == "interface" and mac is not None else None


def _nodes(device: etree._Element) -> Iterator[str]:
    """Yield each path of a device node in a device of a domain, once."""
    texts = (
        value
        for one in device.iter()
        for value in (*one.attrib.values(), one.text or "")
        if str(one.tag) != "alias"
    )
    paths = (str(value).strip() for value in texts)
    yield from dict.fromkeys(
        path
        for path in paths
        if path.startswith(NODES)
        and "/../" not in path
        and path not in OF_THE_KERNEL
        and not path.startswith(NO_DEVICES)
    )


def _at(sysfs: Sysfs, path: str) -> Callable[[], Identity]:
    def look() -> Identity:
        found = sysfs.node(path)
        if found is None:
            raise NotThere
        kind, folder = found
        return of_block(sysfs, folder) if kind == "block" else of_char(sysfs, folder)

    return look


def _addressed(sysfs: Sysfs, device: etree._Element, source: etree._Element) -> Callable[[], Identity] | None:
    """Return the reader of a device that is named by an address, an id or a network name; else None."""
    tag, kind, address = device.tag, device.get("type", ""), source.find("address")
    if address is not None and (kind == "pci" or (tag, kind) in {("interface", "hostdev"), ("disk", "nvme")}):
        return lambda: of_pci(_there(sysfs, "bus", "pci", "devices", _pci_name(address)))
    if tag == "interface" and kind == "direct":
        name = source.get("dev", "")
        return lambda: Identity(None, of_network(sysfs, _there(sysfs, "class", "net", name)))
    if tag == "hostdev" and kind == "usb":
        return lambda: _usb(sysfs, source)
    return _of_hostdev(sysfs, kind, source, address) if tag == "hostdev" and address is not None else None


def _of_hostdev(
    sysfs: Sysfs, kind: str, source: etree._Element, address: etree._Element
) -> Callable[[], Identity] | None:
    """Return the reader of a mediated or a SCSI device that a host device names; else None."""
    if kind == "mdev":
        return lambda: of_mdev(_there(sysfs, "bus", "mdev", "devices", address.get("uuid", "").lower()))
    adapter = source.find("adapter")
    if kind != "scsi" or adapter is None:
        return None
    name = _scsi_name(adapter, address)
    return lambda: Identity(of_scsi(sysfs, _there(sysfs, "bus", "scsi", "devices", name)))


def _there(sysfs: Sysfs, *steps: str) -> Path:
    folder = sysfs.folder(*steps)
    if folder is None:
        raise NotThere
    return folder


def _usb(sysfs: Sysfs, source: etree._Element) -> Identity:
    """Return the identity of a USB device, which is named by vendor and product, by its place, or by both."""
    vendor, product, address = source.find("vendor"), source.find("product"), source.find("address")
    wanted = {
        "idVendor": None if vendor is None else _number(vendor.get("id")),
        "idProduct": None if product is None else _number(product.get("id")),
        "busnum": None if address is None else _number(address.get("bus")),
        "devnum": None if address is None else _number(address.get("device")),
    }
    found = [
        of_usb(one)
        for one in names(sysfs.root / "bus" / "usb" / "devices", "*")
        if all(value is None or _attribute(one, name) == value for name, value in wanted.items())
    ]
    if not found:
        raise NotThere
    here = " and ".join(sorted(str(one.here) for one in found))
    return Identity(
        found[0].everywhere if len({one.everywhere for one in found}) == 1 else UNIDENTIFIED, here
    )


def _attribute(folder: Path, name: str) -> int | None:
    found = text(folder, name)
    base = 16 if name.startswith("id") else 10
    try:
        return None if found is None else int(found, base)
    except ValueError:
        return None


def _number(value: str | None) -> int:
    """Return a number of libvirt's XML; -1 for text that is no number."""
    try:
        return int(value or "", 0 if (value or "").startswith("0x") else 10)
    except ValueError:
        return -1


def _pci_name(address: etree._Element) -> str:
    domain, bus, slot, function = (
        max(_number(address.get(name, "0")), 0) for name in ("domain", "bus", "slot", "function")
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _scsi_name(adapter: etree._Element, address: etree._Element) -> str:
    host = adapter.get("name", "").removeprefix("scsi_host")
    return ":".join((host, *(address.get(name, "0") for name in ("bus", "target", "unit"))))
