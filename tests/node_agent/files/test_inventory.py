"""Which files of a domain count, and how."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from sealward.node_agent.files.discovery.inventory import (
    BootFile,
    Disk,
    Unfollowed,
    Volume,
    boot_files,
    disks,
)
from sealward.node_agent.files.refusals import DiskKindUnknown, NetworkDisk
from sealward.node_agent.measuring import canonical
from sealward.node_agent.measuring.not_measured import NotMeasured

DOMAINS = Path(__file__).parents[2] / "assets" / "domains"


def _domain(devices: str = "", os: str = "", more: str = "") -> etree._Element:
    return canonical.parse(f"<domain><os>{os}</os>{more}<devices>{devices}</devices></domain>")


def _image(disk: Disk | Volume | Unfollowed) -> tuple[str, str, str]:
    assert isinstance(disk, Disk)
    return disk.target, disk.path, disk.format


def test_a_real_uefi_domain_has_loader_template_kernel_and_disks() -> None:
    """From a dump of libvirt 9.0: what boots by content, NVRAM by its name."""
    domain = canonical.parse((DOMAINS / "uefi6.0-running.inactive.xml").read_bytes())
    by_role = {one.role: one for one in boot_files(domain)}

    assert set(by_role) == {"kernel", "initrd", "loader", "nvram-template", "nvram"}
    assert [one.role for one in by_role.values() if one.is_identity] == ["nvram"]
    assert [(one.target, one.format) for one in disks(domain) if isinstance(one, Disk)] == [
        ("vda", "qcow2"),
        ("vdb", "raw"),
    ]


def test_both_forms_of_a_running_domain_name_the_same_files() -> None:
    """What libvirt adds to the running form are no other files."""
    config, live = (
        canonical.parse((DOMAINS / f"uefi6.1-running.{form}.xml").read_bytes())
        for form in ("inactive", "live")
    )

    assert list(boot_files(config)) == list(boot_files(live))
    assert [_image(one) for one in disks(config)] == [_image(one) for one in disks(live)]


def test_what_runs_before_the_guest_counts_by_content() -> None:
    """Device trees, ACPI tables, option ROMs and what fw_cfg hands to the guest, too."""
    domain = _domain(
        "<interface type='network'><rom file='/rom'/></interface>",
        "<dtb>/dtb</dtb><acpi><table type='slic'>/slic</table></acpi>",
        "<sysinfo type='fwcfg'><entry name='opt/x' file='/ignition'/><entry name='opt/y'>v</entry></sysinfo>",
    )

    assert list(boot_files(domain)) == [
        BootFile("dtb", "/dtb"),
        BootFile("acpi-table", "/slic"),
        BootFile("option-rom", "/rom"),
        BootFile("fwcfg", "/ignition"),
    ]


def test_files_in_arguments_of_qemu_count_by_content() -> None:
    """What QEMU or the firmware reads; neither what is written to nor what QEMU looks up by itself."""
    first = (
        "-kernel /k -initrd /i --dtb /d -bios bios.bin -fw_cfg name=opt/c,file=/c,,1 -acpitable data=/a:/b"
    )
    second = '-device loader,file=/l -device {"driver":"e1000","romfile":"/r"} -smbios file=/s -D /log'
    third = (
        "-drive file=/w -drive if=pflash,readonly=on,file=/f -drive if=pflash,readonly=off,file=/v -device {["
    )
    arguments = f"{first} {second} {third} -append".split()
    text = "".join(f"<q:arg value='{one}'/>" for one in arguments)
    space = "xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'"
    domain = _domain(more=f"<q:commandline {space}>{text}</q:commandline>")

    paths = ["/k", "/i", "/d", "/c,1", "/a", "/b", "/l", "/r", "/s", "/f"]
    assert list(boot_files(domain)) == [BootFile("argument", one) for one in paths]


def test_a_loader_that_is_written_to_counts_by_its_name() -> None:
    """Firmware without NVRAM of its own changes on every boot."""
    assert list(boot_files(_domain(os="<loader readonly='no' type='pflash'>/fw</loader>"))) == [
        BootFile("loader", "/fw", is_identity=True)
    ]
    assert list(boot_files(_domain(os="<nvram type='file'><source file='/vars'/></nvram>"))) == [
        BootFile("nvram", "/vars", is_identity=True)
    ]


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (
            "<disk device='cdrom'><source file='/iso'/><target dev='sda'/></disk>",
            Disk("cdrom", "sda", "/iso", "raw", is_read_only=True, is_optional=False),
        ),
        (
            "<disk device='floppy'><source file='/f' startupPolicy='optional'/><target dev='fda'/></disk>",
            Disk("floppy", "fda", "/f", "raw", is_read_only=False, is_optional=True),
        ),
        (
            "<disk type='block'><driver type='qed'/><source dev='/x'/><readonly/><target dev='a'/></disk>",
            Disk("disk", "a", "/x", "qed", is_read_only=True, is_optional=False),
        ),
        (
            "<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>",
            Volume("disk", "vda", "p", "v"),
        ),
    ],
)
def test_disks_by_kind(disk: str, expected: Disk | Volume) -> None:
    """Role, target, path, stated format, and whether the guest can write."""
    assert list(disks(_domain(disk))) == [expected]


def test_an_empty_drive_and_a_device_have_no_file() -> None:
    """The XML says all there is of them."""
    assert list(disks(_domain("<disk type='file' device='cdrom'><target dev='sda'/></disk>"))) == []
    assert list(disks(_domain("<disk type='nvme'><source type='pci'/><target dev='vda'/></disk>"))) == []


@pytest.mark.parametrize(
    ("kind", "refusal"), [("network", NetworkDisk), ("dir", DiskKindUnknown), ("tomorrow", DiskKindUnknown)]
)
def test_what_no_file_can_tell_is_refused(kind: str, refusal: type[NotMeasured]) -> None:
    """A disk behind the network is no reason to say false, and none to say true."""
    (found,) = disks(_domain(f"<disk type='{kind}'><source protocol='rbd'/><target dev='vda'/></disk>"))

    assert isinstance(found, Unfollowed)
    assert isinstance(found.refusal, refusal)
    assert "disk vda" in str(found.refusal)


@pytest.mark.parametrize(
    ("form", "layers", "is_whole"),
    [("inactive", ["disk"], False), ("live", ["disk", "base.img"], True)],
)
def test_a_declared_chain_is_read(form: str, layers: list[str], is_whole: bool) -> None:  # noqa: FBT001 - a parameter
    """After a snapshot both forms declare layers, the running one down to the end (libvirt 9.0)."""
    domain = canonical.parse((DOMAINS / f"real1-qemu.5-snap.{form}.xml").read_bytes())
    first = next(one for one in disks(domain) if isinstance(one, Disk))

    assert [Path(path).name for path, _ in first.declared.layers] == layers
    assert first.declared.is_whole == is_whole
