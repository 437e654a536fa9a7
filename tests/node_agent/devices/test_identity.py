"""The identities of devices, from trees of sysfs as kernels have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree

from sealward.events.comparison.devices import UNIDENTIFIED
from sealward.node_agent.devices import given

DISK = "<disk type='block' device='disk'><source dev='{}'/><target dev='vdb'/><serial>v</serial></disk>"


def disk(tree: Tree, path: str = "/dev/sdb") -> dict[str, str]:
    """Return the facts about a domain with one disk."""
    return given.facts(tree.sysfs, f"<domain><devices>{DISK.format(path)}</devices></domain>")


def of_disk(tree: Tree, path: str = "/dev/sdb") -> str | None:
    """Return the identity of that disk."""
    return disk(tree, path).get("device/disk/vdb")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return an empty sysfs."""
    return Tree(tmp_path / "sys")


def test_a_volume_is_known_by_its_wwn_on_every_path(tree: Tree) -> None:
    """A SCSI disk, the multipath device over it, and a partition of it."""
    tree.scsi("/dev/sdb", "8:16", wwid="naa.60014050000000000000000000000001")
    tree.mapped("/dev/mapper/mpatha", "253:0", "mpath-360014050000000000000000000000001", ["sdb"])
    tree.partition("/dev/sdb1", "8:17", "sdb", 1)

    assert of_disk(tree) == "wwn naa.60014050000000000000000000000001"
    assert of_disk(tree, "/dev/mapper/mpatha") == of_disk(tree)
    assert of_disk(tree, "/dev/sdb1") == f"partition 1 from 2048 of 100 of {of_disk(tree)}"


def test_a_volume_of_tgt_is_known_by_its_target(tree: Tree) -> None:
    """Its WWN is the place in the target, which another volume may have after a restart."""
    tree.scsi("/dev/sdb", "8:16", wwid="naa.6000", vendor="IET", target="iqn.2010-10.org.openstack:volume-1")

    assert of_disk(tree) == "iscsi iqn.2010-10.org.openstack:volume-1 lun 1"


@pytest.mark.parametrize(
    ("attributes", "identity"),
    [
        ({"wwid": "eui.0025385b71b0a1b2"}, "wwn eui.0025385b71b0a1b2"),
        ({"serial": "vol-1"}, "serial vol-1"),
        ({"md/uuid": "1-2-3"}, "md 1-2-3"),
        ({"device/uuid": "aa-bb"}, "nd aa-bb"),
        (
            {
                "device/image_id": "1f",
                "device/cluster_fsid": "f-1",
                "device/pool": "vms",
                "device/pool_ns": "",
            },
            "rbd f-1/vms//1f@-",
        ),
        ({}, UNIDENTIFIED),
    ],
)
def test_other_block_devices(tree: Tree, attributes: dict[str, str], identity: str) -> None:
    """Each kind of volume has its own name."""
    tree.block("/dev/x", "259:0", "x0", attributes)

    assert of_disk(tree, "/dev/x") == identity


def test_a_logical_volume_and_an_encrypted_one(tree: Tree) -> None:
    """An LVM volume is known by its UUIDs; an encrypted one by its own, and by what is below it."""
    tree.scsi("/dev/sdb", "8:16", wwid="naa.6001")
    tree.mapped("/dev/vg/lv", "253:1", "LVM-vgvg-lvlv", ["sdb"])
    luks = "CRYPT-LUKS2-00112233445566778899aabbccddeeff-crypt-here"
    tree.mapped("/dev/mapper/c", "253:2", luks, ["sdb"])
    tree.mapped("/dev/mapper/plain", "253:3", "", ["sdb"])

    assert of_disk(tree, "/dev/vg/lv") == "lvm vgvg-lvlv"
    assert of_disk(tree, "/dev/mapper/c") == "crypt LUKS2-00112233445566778899aabbccddeeff on (wwn naa.6001)"
    assert of_disk(tree, "/dev/mapper/plain") == "dm without a name on (wwn naa.6001)"


def test_a_loop_device_is_known_by_its_file_on_its_node(tree: Tree) -> None:
    """After a move the file says nothing."""
    tree.block(
        "/dev/loop0", "7:0", "loop0", {"loop/backing_file": "/a", "loop/offset": "0", "loop/sizelimit": "0"}
    )

    assert disk(tree, "/dev/loop0") == {
        "device/disk/vdb": UNIDENTIFIED,
        "device/disk/vdb:here": "loop /a 0 0",
    }


PCI = """<hostdev mode='subsystem' type='pci'><source>
<address domain='0x0000' bus='0x3b' slot='0x02' function='0x1'/></source></hostdev>"""


def _domain(*devices: str) -> str:
    return f"<domain><devices>{''.join(devices)}</devices></domain>"


def test_a_pci_device_is_known_by_its_ids_and_here_by_its_revision(tree: Tree) -> None:
    """In a host device, in an interface and in an NVMe disk."""
    tree.pci("0000:3b:02.1", vendor="0x8086", device="0x154c", subsystem="0x8086:0x0001", revision="0x02")
    address = "<source><address type='pci' domain='0x0000' bus='0x3b' slot='0x02' function='0x1'/></source>"
    nic = f"<interface type='hostdev'><mac address='52:54:00:00:00:01'/>{address}</interface>"
    nvme = f"<disk type='nvme'>{address}<target dev='vdc'/></disk>"
    found = given.facts(tree.sysfs, _domain(PCI, nic, nvme))
    ids, here = "pci 8086:154c subsystem 8086:0001", "revision 0x02 class 0x020000"

    assert found == {
        name: value
        for one in ("hostdev/1", "interface/52:54:00:00:00:01", "disk/vdc")
        for name, value in ((f"device/{one}", ids), (f"device/{one}:here", here))
    }


def test_a_usb_device_is_known_by_its_ids_and_here_by_its_serial_number(tree: Tree) -> None:
    """By vendor and product, or by its place on the bus."""
    tree.usb("1-2", "1:5", vendor="0781", product="5581", serial="SN1")
    tree.usb("1-3", "1:6", vendor="0781", product="5582", serial="SN2")
    by_ids = "<source><vendor id='0x0781'/><product id='0x5581'/></source>"
    by_place = "<source><address bus='1' device='6'/></source>"
    devices = [f"<hostdev mode='subsystem' type='usb'>{one}</hostdev>" for one in (by_ids, by_place)]

    assert given.facts(tree.sysfs, _domain(*devices)) == {
        "device/hostdev/1": "usb 0781:5581",
        "device/hostdev/1:here": "serial SN1 revision 0100",
        "device/hostdev/2": "usb 0781:5582",
        "device/hostdev/2:here": "serial SN2 revision 0100",
    }


def test_a_device_that_a_domain_may_start_without_may_be_absent(tree: Tree) -> None:
    """It has an entry; a mandatory device has none."""
    source = "<source{}><vendor id='0x0781'/><product id='0x5581'/></source>"
    device = f"<hostdev mode='subsystem' type='usb'>{source}</hostdev>"

    assert given.facts(tree.sysfs, _domain(device.format(""))) == {}
    assert given.facts(tree.sysfs, _domain(device.format(" startupPolicy='optional'"))) == {
        "device/hostdev/1": "absent"
    }


def test_a_mediated_device_is_known_by_its_type(tree: Tree) -> None:
    """By the name of the type on every node, and by its id and its card here."""
    tree.pci("0000:3b:00.0", vendor="0x10de", device="0x1eb8", subsystem="0x10de:0x12a2", revision="0xa1")
    tree.mdev("c0ffee00-0000-4000-8000-000000000001", "0000:3b:00.0", "nvidia-222", "GRID T4-1B")
    device = (
        "<hostdev mode='subsystem' type='mdev'><source><address uuid='C0FFEE00-0000-4000-8000-000000000001'/>"
    )

    assert given.facts(tree.sysfs, _domain(f"{device}</source></hostdev>")) == {
        "device/hostdev/1": "mdev GRID T4-1B",
        "device/hostdev/1:here": "type nvidia-222 on pci 10de:1eb8 subsystem 10de:12a2",
    }


def test_a_scsi_host_device_is_known_by_its_wwn(tree: Tree) -> None:
    """The number of its adapter is another after each boot."""
    tree.scsi("/dev/sdb", "8:16", wwid="naa.6001")
    source = "<source><adapter name='scsi_host2'/><address bus='0' target='0' unit='1'/></source>"

    assert given.facts(tree.sysfs, _domain(f"<hostdev type='scsi'>{source}</hostdev>")) == {
        "device/hostdev/1": "wwn naa.6001"
    }


def test_a_network_device_under_macvtap_is_known_by_its_adapters(tree: Tree) -> None:
    """A bond is what it is made of. Another node has its own, so all of it counts here alone."""
    tree.pci("0000:01:00.0", vendor="0x8086", device="0x1572", subsystem="0x8086:0x0007", revision="0x01")
    tree.net("eth0", "0000:01:00.0", address="aa:bb:cc:00:00:01")
    tree.virtual_net("bond0", "bond", ["eth0"])
    mac = "<mac address='52:54:00:00:00:01'/>"
    nic = f"<interface type='direct'>{mac}<source dev='{{}}' mode='bridge'/></interface>"
    adapter = "net pci 8086:1572 subsystem 8086:0007 port 0 address aa:bb:cc:00:00:01"

    assert given.facts(tree.sysfs, _domain(nic.format("eth0"))) == {
        "device/interface/52:54:00:00:00:01:here": adapter
    }
    assert given.facts(tree.sysfs, _domain(nic.format("bond0"))) == {
        "device/interface/52:54:00:00:00:01:here": f"net bond of ({adapter})"
    }


@pytest.mark.parametrize(
    "device",
    [
        "<interface type='vdpa'><mac address='52:54:00:00:00:01'/><source dev='/dev/thing'/></interface>",
        "<memory model='nvdimm'><source><path>/dev/thing</path></source></memory>",
        "<serial type='dev'><source path='/dev/thing'/></serial>",
        "<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/thing'/></backend></tpm>",
        "<rng model='virtio'><backend model='random'>/dev/thing</backend></rng>",
        "<input type='evdev'><source dev='/dev/thing'/></input>",
        "<graphics type='egl-headless'><gl rendernode='/dev/thing'/></graphics>",
        "<newer><element-of path='/dev/thing'/></newer>",
    ],
)
def test_every_path_of_a_device_node_is_looked_at(tree: Tree, device: str) -> None:
    """Wherever it stands, also in an element that nobody has heard of."""
    tree.pci("0000:01:00.0", vendor="0x15b3", device="0x101e", subsystem="0x15b3:0x0001", revision="0x00")
    tree.char("/dev/thing", "511:0", "0000:01:00.0/vdpa0/vhost-vdpa-0")
    (found, *_) = given.facts(tree.sysfs, _domain(device)).values()

    assert found == "pci 15b3:101e subsystem 15b3:0001"


def test_terminals_and_files_are_no_devices(tree: Tree) -> None:
    """A terminal is another one at each start."""
    paths = ("/dev/pts/3", "/dev/urandom", "/dev/shm/x", "/dev/../etc/passwd")  # noqa: S108 - paths in XML
    devices = [f"<serial><source path='{one}'/></serial>" for one in paths]

    assert given.facts(tree.sysfs, _domain(*devices)) == {}


def test_no_address_leads_out_of_sysfs(tree: Tree) -> None:
    """A hostile XML names no file outside."""
    source = "<source><adapter name='scsi_host../../..'/><address bus='0' target='..' unit='/etc'/></source>"
    mdev = "<hostdev type='mdev'><source><address uuid='../../../../etc'/></source></hostdev>"
    direct = "<interface type='direct'><source dev='../../../etc'/></interface>"

    assert given.facts(tree.sysfs, _domain(f"<hostdev type='scsi'>{source}</hostdev>", mdev, direct)) == {}
