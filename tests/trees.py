"""Trees of sysfs as Linux 6.1 has them, with device nodes that need no root."""

from __future__ import annotations

import os
from pathlib import Path

from sealward.node_agent.devices.sysfs import Number, Sysfs


class Tree:
    """A sysfs in a folder, to which devices are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "devices"
        self.devices.mkdir(parents=True)
        self.nodes: dict[str, Number] = {}
        self.sysfs = Sysfs(root, self.nodes.get)

    def _write(self, folder: Path, attributes: dict[str, str]) -> Path:
        for name, value in attributes.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{value}\n")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _link(self, folder: Path, *steps: str) -> None:
        link = self.root.joinpath(*steps)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(folder, link.parent))

    def _of(self, folder: Path, subsystem: str) -> None:
        target = self.root / "bus" / subsystem
        target.mkdir(parents=True, exist_ok=True)
        self._link(target, *folder.relative_to(self.root).parts, "subsystem")

    def _node(self, path: str, kind: str, number: str, folder: Path) -> None:
        self.nodes[path] = Number(kind, number)
        self._link(folder, "dev", kind, number)

    def block(self, path: str, number: str, name: str, attributes: dict[str, str]) -> Path:
        """Add a block device with these attributes."""
        folder = self._write(self.devices / "virtual" / "block" / name, attributes)
        self._link(folder, "class", "block", name)
        self._node(path, "block", number, folder)
        return folder

    def scsi(self, path: str, number: str, *, wwid: str, vendor: str = "LIO-ORG", target: str = "") -> Path:
        """Add a SCSI disk, 2:0:0:1 of an iSCSI session."""
        name = path.rpartition("/")[2]
        device = self.devices / "platform" / "host2" / "session7" / "target2:0:0" / "2:0:0:1"
        self._write(device, {"wwid": wwid, "vendor": vendor, "model": "m"})
        self._of(device, "scsi")
        self._link(device, "bus", "scsi", "devices", "2:0:0:1")
        if target:
            self._write(self.root / "class" / "iscsi_session" / "session7", {"targetname": target})
        folder = self._write(device / "block" / name, {"size": "100"})
        self._link(device, *(folder / "device").relative_to(self.root).parts)
        self._link(folder, "class", "block", name)
        self._node(path, "block", number, folder)
        return device

    def partition(self, path: str, number: str, disk: str, count: int) -> None:
        """Add a partition of a disk."""
        whole = (self.root / "class" / "block" / disk).resolve()
        facts = {"partition": str(count), "start": "2048", "size": "100"}
        self._node(path, "block", number, self._write(whole / f"{disk}{count}", facts))

    def mapped(self, path: str, number: str, kind: str, below: list[str]) -> None:
        """Add a device of the device mapper over other block devices."""
        folder = self.block(path, number, f"dm-{number.partition(':')[2]}", {"dm/uuid": kind})
        for one in below:
            slave = (self.root / "class" / "block" / one).resolve()
            self._link(slave, *(folder / "slaves" / one).relative_to(self.root).parts)

    def pci(self, address: str, *, vendor: str, device: str, subsystem: str, revision: str) -> Path:
        """Add a PCI device."""
        other, _, model = subsystem.partition(":")
        facts = {"vendor": vendor, "device": device, "subsystem_vendor": other, "subsystem_device": model}
        folder = self.devices / "pci0000:00" / address
        self._write(folder, {**facts, "revision": revision, "class": "0x020000"})
        self._of(folder, "pci")
        self._link(folder, "bus", "pci", "devices", address)
        return folder

    def usb(self, name: str, place: str, *, vendor: str, product: str, serial: str) -> None:
        """Add a USB device; `place` has the numbers of its bus and of the device there."""
        bus, _, number = place.partition(":")
        facts = {"busnum": bus, "devnum": number, "idVendor": vendor, "idProduct": product, "serial": serial}
        folder = self._write(self.devices / "usb1" / name, {**facts, "bcdDevice": "0100"})
        self._link(folder, "bus", "usb", "devices", name)

    def mdev(self, uuid: str, parent: str, kind: str, name: str) -> None:
        """Add a mediated device of a type to a PCI device."""
        card = (self.root / "bus" / "pci" / "devices" / parent).resolve()
        of_type = self._write(card / "mdev_supported_types" / kind, {"name": name})
        folder = self._write(card / uuid, {})
        self._link(of_type, *(folder / "mdev_type").relative_to(self.root).parts)
        self._link(folder, "bus", "mdev", "devices", uuid)

    def char(self, path: str, number: str, below: str) -> None:
        """Add a character device below a PCI device."""
        self.plug_char(path, number, f"pci0000:00/{below}")

    def plug_char(self, path: str, number: str, below: str) -> None:
        """Add a character device below any device."""
        self._node(path, "char", number, self._write(self.devices / below, {}))

    def net(self, name: str, parent: str, *, address: str) -> None:
        """Add the network device of an adapter."""
        card = (self.root / "bus" / "pci" / "devices" / parent).resolve()
        facts = {"address": address, "addr_assign_type": "0", "dev_port": "0"}
        self._link(self._write(card / "net" / name, facts), "class", "net", name)

    def virtual_net(self, name: str, kind: str, below: list[str]) -> None:
        """Add a network device over others."""
        folder = self.devices / "virtual" / "net" / name
        self._write(folder, {"uevent": f"DEVTYPE={kind}\nINTERFACE={name}", "addr_assign_type": "3"})
        for one in below:
            lower = (self.root / "class" / "net" / one).resolve()
            self._link(lower, *(folder / f"lower_{one}").relative_to(self.root).parts)
        self._link(folder, "class", "net", name)
