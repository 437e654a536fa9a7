"""`diff` and `explain`: each path with its class, and each difference with the class that explains it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealward.events.findings.kind import Kind
from sealward.node_agent.measuring.explaining import VIOLATION, compared, explained

DOMAINS = Path(__file__).parent.parent / "assets" / "domains"
DEFINED = (DOMAINS / "real1-qemu.1-defined.inactive.xml").read_text()
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"


def _started(name: str) -> str:
    return (DOMAINS / "started" / f"{name}.xml").read_text()


def _domain(inner: str) -> str:
    return f"<domain type='kvm'><name>a</name><memory unit='KiB'>2097152</memory>{inner}</domain>"


def _device(inner: str) -> str:
    return _domain(f"<devices>{inner}</devices>")


def _nova(inner: str) -> str:
    return (
        f"<metadata><nova:instance xmlns:nova='{NOVA}'>{inner}</nova:instance></metadata>"
        "<sysinfo type='smbios'><system><entry name='version'>{}</entry></system></sysinfo>"
    )


RBD = (
    "<disk type='network' device='disk'><source protocol='rbd' name='vms/a'>{}</source>"
    "<target dev='vda'/>{}</disk>"
)
HOST = "<host name='10.0.0.{}' port='6789'/>"
VOLUME = (
    "<disk type='block'><driver cache='{}'/><source dev='{}'/><target dev='vdb'/><serial>1</serial></disk>"
)
PCI = "<hostdev type='pci'><source><address domain='0x0' bus='0x{}' slot='0x0'/></source></hostdev>"
NIC = "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='{}'/></interface>"
NVDIMM = "<memory model='nvdimm'><source><path>{}</path></source></memory>"
LISTEN = "<graphics type='vnc' autoport='yes'><listen type='address' address='{}'/></graphics>"


@pytest.mark.parametrize(
    ("signed", "found", "words"),
    [
        (_device(VOLUME.format("none", "/dev/a")), _device(VOLUME.format("none", "/dev/b")), {VIOLATION}),
        (_device(VOLUME.format("none", "/dev/a")), _device(VOLUME.format("writeback", "/dev/a")), {"bound"}),
        (_device(PCI.format("3")), _device(PCI.format("4")), {VIOLATION}),
        (_device(NIC.format("br0")), _device(NIC.format("br1")), {VIOLATION}),
        (_device(NVDIMM.format("/a")), _device(NVDIMM.format("/b")), {VIOLATION}),
        (
            _device(RBD.format(HOST.format(1) + HOST.format(2), "")),
            _device(RBD.format(HOST.format(2) + HOST.format(1), "")),
            set(),
        ),
        (
            _device(RBD.format(HOST.format(1) + HOST.format(2), "")),
            _device(RBD.format(HOST.format(1) + HOST.format(3), "")),
            {"bound"},
        ),
        (
            _device(RBD.format(HOST.format(1), "")),
            _device(RBD.format(HOST.format(1), "").replace("vms/a", "vms/b")),
            {VIOLATION},
        ),
        (_domain("<vcpu cpuset='0'>1</vcpu>"), _domain("<vcpu cpuset='1'>1</vcpu>"), {"bound"}),
        (
            _domain("<cputune><vcpusched vcpus='0' scheduler='fifo' priority='1'/></cputune>"),
            _domain(""),
            {"bound"},
        ),
        (
            _domain("<cputune><iothreadpin iothread='1' cpuset='0'/></cputune>"),
            _domain("<cputune><iothreadpin iothread='1' cpuset='3'/></cputune>"),
            {"bound"},
        ),
        (_device(LISTEN.format("10.0.0.1")), _device(LISTEN.format("10.0.0.2")), {"bound"}),
        (_device(LISTEN.format("127.0.0.1")), _device(LISTEN.format("::")), {VIOLATION, "bound"}),
        (
            _domain("<memoryBacking><nosharepages/><locked/></memoryBacking>"),
            _domain("<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>"),
            {VIOLATION},
        ),
        (
            _domain("<memoryBacking><hugepages/></memoryBacking>"),
            _domain("<memoryBacking/>"),
            {VIOLATION},
        ),
        (
            _domain("<clock offset='variable' adjustment='0' basis='utc'/>"),
            _domain("<clock offset='variable' adjustment='-3600' basis='utc'/>"),
            {"state"},
        ),
        (_domain("<clock offset='utc'/>"), _domain("<clock offset='localtime'/>"), {VIOLATION}),
        (
            _device("<memballoon model='virtio'/>"),
            _device("<memballoon model='virtio'><stats period='10'/></memballoon>"),
            {"state"},
        ),
        (
            _device("<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"),
            _device(
                "<interface type='user'><mac address='52:54:00:00:00:01' currentAddress='52:54:00:00:00:02'/>"
                "</interface>"
            ),
            {"state"},
        ),
        (
            _device("<disk type='file' device='cdrom'><target dev='sda'/></disk>"),
            _device("<disk type='file' device='cdrom'><target dev='sda' tray='open'/></disk>"),
            {"state"},
        ),
        (
            _device("<disk type='file' device='disk'><target dev='sda'/></disk>"),
            _device("<disk type='file' device='disk'><target dev='sda' tray='open'/></disk>"),
            {VIOLATION},
        ),
        (
            _device("<rng><address type='pci' domain='0x0' bus='0x1' slot='0x0' function='0x0'/></rng>"),
            _device("<rng><address type='pci' domain='0x0' bus='0x5' slot='0x0' function='0x0'/></rng>"),
            {"assigned"},
        ),
        (
            _device("<rng><address type='pci' bus='0x1'/></rng>"),
            _device("<rng><address type='ccw' cssid='0xfe'/></rng>"),
            {VIOLATION},
        ),
        (
            _device("<rng><address type='pci' bus='0x1'/></rng><tpm><address type='pci' bus='0x2'/></tpm>"),
            _device("<tpm><address type='pci' bus='0x2'/></tpm><rng><address type='pci' bus='0x1'/></rng>"),
            {VIOLATION},
        ),
        (
            _domain(_nova("<nova:name>a</nova:name>").format("31.0.0")),
            _domain(_nova("<nova:name>b</nova:name>").format("32.0.1")),
            {"assigned"},
        ),
        (
            _domain("<sysinfo type='smbios'><system><entry name='version'>1</entry></system></sysinfo>"),
            _domain("<sysinfo type='smbios'><system><entry name='version'>2</entry></system></sysinfo>"),
            {VIOLATION},
        ),
        (_domain(""), _domain("<brandNew path='/x'/>"), {VIOLATION}),
        (_domain("<os><shim>/a</shim></os>"), _domain("<os><shim>/b</shim></os>"), {VIOLATION}),
        (
            _device("<disk type='file' device='disk'><target dev='vda'/></disk>"),
            _device(
                "<disk type='file' device='disk'><target dev='vda'/><backingStore type='file'>"
                "<source file='/b'/></backingStore></disk>"
            ),
            {VIOLATION},
        ),
    ],
)
def test_a_difference_has_the_class_that_explains_it(signed: str, found: str, words: set[str]) -> None:
    """A server that was signed as the one is defined as the other."""
    assert {one.word for one in compared(signed, found)} == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("network-bridge", {"assigned", "completed"}),
        ("firmware-auto", {"assigned", "completed", "derived"}),
        ("dimm-base", {"assigned"}),
        ("block-job", {"assigned", "state"}),
    ],
)
def test_a_start_has_no_violation(name: str, words: set[str]) -> None:
    """What libvirt made of the definition is said with its class."""
    config = _started(f"{name}.inactive")

    assert {one.word for one in compared(config, config, _started(f"{name}.live"))} == words


def test_a_running_dump_is_compared_as_one() -> None:
    """An alias of libvirt's own tells a running form, in which a balloon may have moved the memory."""
    text = (
        "<currentMemory unit='KiB'>{}</currentMemory>"
        "<devices><memballoon model='virtio'>{}</memballoon></devices>"
    )
    signed, alias = _domain(text.format(2097152, "")), "<alias name='balloon0'/>"

    assert [one.word for one in compared(signed, _domain(text.format(1638400, alias)))] == ["state"]
    assert [one.word for one in compared(signed, _domain(text.format(1638400, "")))] == [VIOLATION]
    assert [one.word for one in compared(signed, _domain(text.format(2097153, alias)))] == [VIOLATION]


def test_a_definition_made_of_the_running_form_has_no_violation() -> None:
    """After a volume swap; the same without the running form that it was made of is a violation."""
    config, live = _started("network-bridge.inactive"), _started("network-bridge.live")
    defined = re.sub(r"<alias name='[^']*'/>| id='3'", "", live)

    assert VIOLATION not in {one.word for one in compared(config, defined, live)}
    assert VIOLATION in {one.word for one in compared(config, defined)}


def test_secrets_are_not_shown() -> None:
    """What a SECURE dump shows is neither a difference nor printed."""
    secure = (DOMAINS / "real1-qemu.1-defined.inactive-secure.xml").read_text()

    assert compared(DEFINED, secure) == ()


def test_the_secret_of_a_tpm_is_shown_by_its_uuid() -> None:
    """The UUID that libvirt keeps a secret under is no secret; a password is."""
    tpm = "<tpm><backend type='emulator'><encryption secret='{}'/></backend></tpm>"
    uuids = [f"d9000000-0000-4000-8000-00000000000{number}" for number in (1, 2)]
    (one,) = compared(*(_device(tpm.format(uuid)) for uuid in uuids))
    (other,) = compared(*(_device(tpm.format(word)) for word in ("hunter1", "hunter2")))

    assert (one.finding.signed, one.finding.found) == tuple(uuids)
    assert (other.finding.signed, other.finding.found) == ("***", "***")


def test_each_path_has_a_section_and_a_class() -> None:
    """Attributes, texts and empty elements, each once; the parts of the tables have the tables' classes."""
    lines = explained(_started("firmware-auto.live"))
    kinds = {one.xpath: (one.section, one.kind) for one in lines}

    assert len(kinds) == len(lines)
    assert kinds["/domain/@id"] == ("identity", Kind.ASSIGNED)
    assert kinds["/domain/name/text()"] == ("identity", Kind.CONFIGURATION)
    assert kinds["/domain/os/loader/text()"] == ("boot", Kind.CONFIGURATION)
    assert kinds['/domain/devices/graphics[@type="vnc"]/@listen'] == ("graphics", Kind.BOUND)
    assert kinds["/domain/devices/memballoon/address/@bus"] == ("devices", Kind.ASSIGNED)
    assert kinds["/domain/devices/memballoon/address/@type"] == ("devices", Kind.CONFIGURATION)


def test_text_beside_elements_counts_in_metadata_alone() -> None:
    """Applications write what they like there; a change of such a text is a violation that names it."""
    text = "<metadata><a:note xmlns:a='urn:a'>see <a:b>x</a:b> for {}</a:note></metadata>"
    (one,) = compared(_domain(text.format("more")), _domain(text.format("less")))

    assert one.word == VIOLATION
    assert (one.finding.signed, one.finding.found) == (" for more", " for less")
