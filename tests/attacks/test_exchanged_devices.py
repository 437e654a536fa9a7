"""Another device in the place of the device that was signed: the same path and serial, another device."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree

from sealward.events.comparison.binding import AS_SIGNED, Binding, is_violated
from sealward.node_agent.devices import given
from sealward.node_agent.measuring.measure import measure

MAC = "<mac address='52:54:00:00:00:01'/>"
PCI = "<address type='pci' domain='0x0000' bus='0x3b' slot='0x00' function='0x0'/>"
MDEV = "<address uuid='c0ffee00-0000-4000-8000-000000000001'/>"
DOMAIN = f"""<domain type='kvm'><name>a</name><devices>
<disk type='block' device='disk'><source dev='/dev/sdb'/><target dev='vdb'/><serial>v</serial></disk>
<disk type='block' device='disk'><source dev='/dev/mapper/m'/><target dev='vdc'/><serial>w</serial></disk>
<interface type='direct'>{MAC}<source dev='eth0' mode='vepa'/></interface>
<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>
<hostdev mode='subsystem' type='pci' managed='yes'><source>{PCI}</source></hostdev>
<hostdev mode='subsystem' type='usb'><source><address bus='1' device='5'/></source></hostdev>
<hostdev mode='subsystem' type='mdev'><source>{MDEV}</source></hostdev>
<memory model='nvdimm'><source><path>/dev/pmem0</path></source></memory>
<serial type='dev'><source path='/dev/ttyUSB0'/></serial>
</devices></domain>"""


def wire(  # noqa: PLR0913 - each value is of one device of the node
    tree: Tree,
    *,
    wwid: str = "naa.6001",
    mapped: str = "LVM-vg-lv",
    card: str = "0x2235",
    revision: str = "0xa1",
    port: str = "0x1572",
    serial: str = "SN1",
    kind: str = "GRID A40-1Q",
    memory: str = "aa-bb",
    adapter: str = "0x101e",
    line: str = "6001",
) -> Tree:
    """Plug the devices of DOMAIN into a node."""
    tree.scsi("/dev/sdb", "8:16", wwid=wwid)
    tree.mapped("/dev/mapper/m", "253:0", mapped, ["sdb"])
    tree.pci("0000:01:00.0", vendor="0x8086", device=port, subsystem="0x8086:0x1", revision="0x01")
    tree.net("eth0", "0000:01:00.0", address="aa:bb:cc:00:00:01")
    tree.pci("0000:02:00.0", vendor="0x15b3", device=adapter, subsystem="0x15b3:0x1", revision="0x00")
    tree.char("/dev/vhost-vdpa-0", "511:0", "0000:02:00.0/vdpa0/vhost-vdpa-0")
    tree.pci("0000:3b:00.0", vendor="0x10de", device=card, subsystem="0x10de:0x145a", revision=revision)
    tree.usb("1-2", "1:5", vendor="0781", product="5581", serial=serial)
    tree.mdev("c0ffee00-0000-4000-8000-000000000001", "0000:3b:00.0", "nvidia-558", kind)
    tree.block("/dev/pmem0", "259:0", "pmem0", {"device/uuid": memory})
    tree.usb("1-4", "1:7", vendor="0403", product=line, serial="FT1")
    tree.plug_char("/dev/ttyUSB0", "188:0", "usb1/1-4/1-4:1.0/ttyUSB0")
    return tree


SWAPS: dict[str, tuple[dict[str, str], str, bool]] = {
    "another volume behind /dev/sdb": ({"wwid": "naa.6002"}, "device/disk/vdb", True),
    "another logical volume of that name": ({"mapped": "LVM-vg-xx"}, "device/disk/vdc", True),
    "a linear mapping onto the same disk": ({"mapped": ""}, "device/disk/vdc", True),
    "another card in the slot": ({"card": "0x20b5"}, "device/hostdev/1", True),
    "another revision of the card": ({"revision": "0xa2"}, "device/hostdev/1:here", False),
    "another adapter called eth0": ({"port": "0x1563"}, "device/interface/52:54:00:00:00:01:here", False),
    "another stick in the port": ({"serial": "SN2"}, "device/hostdev/2:here", False),
    "another type under the same mdev": ({"kind": "GRID A40-48Q"}, "device/hostdev/3", True),
    "another namespace called pmem0": ({"memory": "cc-dd"}, "device/memory/1", True),
    "another function behind vhost-vdpa-0": ({"adapter": "0x101d"}, "device/interface/2", True),
    "another converter called ttyUSB0": ({"line": "6015"}, "device/serial/1", True),
}


@pytest.mark.parametrize("name", SWAPS)
def test_another_device_in_the_same_place_is_a_violation(tmp_path: Path, name: str) -> None:
    """The XML is the same. What goes with the server counts after a move, too."""
    how, place, travels = SWAPS[name]
    signed, found = (
        measure(DOMAIN, None, "")
        .told_named(given.facts(wire(Tree(tmp_path / side), **values).sysfs, DOMAIN))
        .measurement
        for side, values in (("signed", {}), ("found", how))
    )
    named, now = signed.named or {}, found.named or {}

    assert place in {key for key in named if named[key] != now.get(key)}
    assert is_violated(signed, AS_SIGNED, found)
    assert is_violated(signed, Binding(has_moved=True), found) == travels
    assert not is_violated(signed, AS_SIGNED, signed)
