"""Ten differences of each class that clouds and their tools make, with the code that each has.

Where a case has a running form, the server is defined as it was signed and runs as the second form.
"""

from __future__ import annotations

from typing import Final

import pytest

from sealward.events.findings.code import FINDINGS
from sealward.node_agent.measuring.explaining import VIOLATION, Difference, compared

VOLUME: Final = (
    "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='{cache}' io='{io}'/>"
    "<source dev='{dev}'/><target dev='vdb' bus='virtio'/><serial>7a1c</serial></disk>"
)
RBD: Final = (
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='{name}'>"
    "{hosts}</source><target dev='vda' bus='virtio'/></disk>"
)
PORT: Final = "<interface type='{type}'><mac address='52:54:00:00:00:01'/><source {source}/></interface>"
PCI: Final = (
    "<hostdev mode='subsystem' type='pci' managed='{managed}'><source>"
    "<address domain='0x0' bus='{bus}' slot='0x0' function='0x0'/></source></hostdev>"
)
CONSOLE: Final = "<graphics type='vnc' port='{port}' autoport='yes' listen='{listen}'/>"
CHANNEL: Final = (
    "<channel type='unix'><source mode='bind' path='{path}'/>"
    "<target type='virtio' name='org.qemu.guest_agent.0'{state}/></channel>"
)


def device(inside: str) -> str:
    """Return a domain with devices."""
    return domain(f"<devices>{inside}</devices>")


def domain(inside: str) -> str:
    """Return a domain."""
    return f"<domain type='kvm'><name>i-1</name>{inside}</domain>"


def host(*names: str) -> str:
    """Return monitors of a Ceph cluster."""
    return "".join(f"<host name='{name}' port='6789'/>" for name in names)


VOLUME_HERE: Final = device(VOLUME.format(cache="none", io="native", dev="/dev/sdb"))
PORT_HERE: Final = device(PORT.format(type="bridge", source="bridge='br0'"))

CONFIGURATION: Final = {
    "another processor": (domain("<cpu mode='host-model'/>"), domain("<cpu mode='custom'/>"), "cpu-changed"),
    "secure boot off": (
        domain("<os><loader secure='yes'>/fw</loader></os>"),
        domain("<os><loader secure='no'>/fw</loader></os>"),
        "boot-changed",
    ),
    "another order of boot": (
        domain("<os><boot dev='hd'/></os>"),
        domain("<os><boot dev='network'/><boot dev='hd'/></os>"),
        "boot-changed",
    ),
    "a host's folder": (
        device(""),
        device("<filesystem type='mount'><source dir='/'/><target dir='all'/></filesystem>"),
        "filesystem-added",
    ),
    "an argument for QEMU": (
        domain(""),
        domain(
            "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>"
            "<q:arg value='-s'/></q:commandline>"
        ),
        "qemu-arguments-changed",
    ),
    "no filter any more": (
        device(
            "<interface type='bridge'><mac address='52:54:00:00:00:01'/><filterref filter='f'/></interface>"
        ),
        device("<interface type='bridge'><mac address='52:54:00:00:00:01'/></interface>"),
        "interface-changed",
    ),
    "a card less": (PORT_HERE, device(""), "interface-removed"),
    "not confined": (
        domain("<seclabel type='static' model='selinux'><label>a</label></seclabel>"),
        domain("<seclabel type='none' model='selinux'/>"),
        "security-changed",
    ),
    "memory encryption off": (domain("<launchSecurity type='sev'/>"), domain(""), "security-changed"),
    "the serial of the machine": (
        domain("<sysinfo type='smbios'><system><entry name='serial'>1</entry></system></sysinfo>"),
        domain("<sysinfo type='smbios'><system><entry name='serial'>2</entry></system></sysinfo>"),
        "smbios-changed",
    ),
    "keys of a TPM": (
        device("<tpm model='tpm-crb'><backend type='emulator'/></tpm>"),
        device("<tpm model='tpm-crb'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>"),
        "tpm-changed",
    ),
    "another image of a pool": (
        device(RBD.format(name="vms/a", hosts=host("m1"))),
        device(RBD.format(name="vms/b", hosts=host("m1"))),
        "disk-changed",
    ),
}
BOUND: Final = {
    "another path to a volume": (
        VOLUME_HERE,
        device(VOLUME.format(cache="none", io="native", dev="/dev/sdc")),
        "bound-disk-changed",
    ),
    "another bridge": (
        PORT_HERE,
        device(PORT.format(type="bridge", source="bridge='br1'")),
        "bound-interface-changed",
    ),
    "another macvtap": (
        device(PORT.format(type="direct", source="dev='eth0' mode='bridge'")),
        device(PORT.format(type="direct", source="dev='eth1' mode='bridge'")),
        "bound-interface-changed",
    ),
    "another socket of vhost-user": (
        device(PORT.format(type="vhostuser", source="type='unix' path='/a' mode='server'")),
        device(PORT.format(type="vhostuser", source="type='unix' path='/b' mode='server'")),
        "bound-interface-changed",
    ),
    "another PCI device": (
        device(PCI.format(managed="yes", bus="0x1")),
        device(PCI.format(managed="yes", bus="0x2")),
        "bound-host-device-changed",
    ),
    "another file of a persistent memory": (
        device("<memory model='nvdimm'><source><path>/a</path></source></memory>"),
        device("<memory model='nvdimm'><source><path>/b</path></source></memory>"),
        "bound-device-changed",
    ),
    "how a volume is cached": (
        VOLUME_HERE,
        device(VOLUME.format(cache="writeback", io="threads", dev="/dev/sdb")),
        "bound-disk-changed",
    ),
    "where a console listens": (
        device(CONSOLE.format(port=-1, listen="127.0.0.1")),
        device(CONSOLE.format(port=-1, listen="127.0.0.2")),
        "bound-console-changed",
    ),
    "pinning": (
        domain("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>"),
        domain("<cputune><vcpupin vcpu='0' cpuset='2'/></cputune>"),
        "bound-tuning-changed",
    ),
    "shares": (
        domain("<cputune><shares>1024</shares><quota>1</quota></cputune>"),
        domain("<cputune><shares>2048</shares><quota>1</quota></cputune>"),
        "bound-tuning-changed",
    ),
}
HARMLESS: Final = {
    "assigned": {
        "the port of a console": (
            CONSOLE.format(port=-1, listen="::1"),
            CONSOLE.format(port=5901, listen="::1"),
        ),
        "a socket of an agent": (
            CHANNEL.format(path="/var/lib/libvirt/qemu/channel/1-i/org.qemu.guest_agent.0", state=""),
            CHANNEL.format(path="/var/lib/libvirt/qemu/channel/2-i/org.qemu.guest_agent.0", state=""),
        ),
        "a tap device": (
            "<interface type='bridge'><target dev='vnet0'/></interface>",
            "<interface type='bridge'><target dev='vnet17'/></interface>",
        ),
        "the port of a network": (
            "<interface type='network'><source network='n' portid='a'/></interface>",
            "<interface type='network'><source network='n' portid='b'/></interface>",
        ),
        "a USB address": (
            "<hub type='usb'><address type='usb' bus='0' port='1'/></hub>",
            "<hub type='usb'><address type='usb' bus='0' port='2'/></hub>",
        ),
        "a terminal": (
            "<serial type='pty'><source path='/dev/pts/1'/></serial>",
            "<serial type='pty'><source path='/dev/pts/9'/></serial>",
        ),
        "a socket's number": (
            "<vsock model='virtio'><cid auto='yes' address='3'/></vsock>",
            "<vsock model='virtio'><cid auto='yes' address='9'/></vsock>",
        ),
        "where memory lies": (
            "<memory model='dimm'><address type='dimm' slot='0' base='0x100000000'/></memory>",
            "<memory model='dimm'><address type='dimm' slot='0' base='0x140000000'/></memory>",
        ),
        "the number of a port": (
            "<controller type='pci' index='1'><target chassis='1' port='0x10'/></controller>",
            "<controller type='pci' index='1'><target chassis='2' port='0x11'/></controller>",
        ),
        "an alias": ("<rng><alias name='rng0'/></rng>", "<rng><alias name='rng1'/></rng>"),
    },
    "state": {
        "an agent that listens": (
            CHANNEL.format(path="/a", state=" state='disconnected'"),
            CHANNEL.format(path="/a", state=" state='connected'"),
        ),
        "a tray": (
            "<disk device='cdrom'><target dev='sda'/></disk>",
            "<disk device='cdrom'><target dev='sda' tray='open'/></disk>",
        ),
        "a floppy's tray": (
            "<disk device='floppy'><target dev='fda' tray='open'/></disk>",
            "<disk device='floppy'><target dev='fda' tray='closed'/></disk>",
        ),
        "an address that the guest has set": (
            "<interface type='user'><mac address='52:54:00:00:00:01'/></interface>",
            "<interface type='user'><mac address='52:54:00:00:00:01' currentAddress='a:b'/></interface>",
        ),
        "memory that the guest has plugged in": (
            "<memory model='virtio-mem'><target><current unit='KiB'>0</current></target></memory>",
            "<memory model='virtio-mem'><target><current unit='KiB'>2048</current></target></memory>",
        ),
        "statistics": (
            "<memballoon model='virtio'/>",
            "<memballoon model='virtio'><stats period='5'/></memballoon>",
        ),
    },
}
STARTS: Final = {
    "a network of a bridge": (
        device("<interface type='network'><source network='n'/></interface>"),
        device("<interface type='bridge'><source network='n' portid='p' bridge='br0'/></interface>"),
        {"start-network-decided"},
    ),
    "a network of a device": (
        device("<interface type='network'><source network='n'/></interface>"),
        device("<interface type='direct'><source network='n' dev='eth1' mode='bridge'/></interface>"),
        {"start-network-decided"},
    ),
    "a limit that the network sets": (
        device("<interface type='network'><source network='n'/></interface>"),
        device("<interface type='network'><source network='n'/><bandwidth/></interface>"),
        {"start-network-decided"},
    ),
    "firmware": (
        domain("<os firmware='efi'/>"),
        domain("<os><loader type='pflash'>/fw.fd</loader><nvram>/x/qemu/nvram/i-1_VARS.fd</nvram></os>"),
        {"start-firmware-decided", "derived-changed"},
    ),
    "memory": (
        domain("<memory unit='KiB'>100000</memory>"),
        domain("<memory unit='KiB'>100352</memory>"),
        {"derived-changed"},
    ),
    "the address of a console": (
        device("<graphics type='vnc'><listen type='network' network='n'/></graphics>"),
        device("<graphics type='vnc'><listen type='network' network='n' address='127.0.0.1'/></graphics>"),
        {"start-console-decided"},
    ),
    "a GPU": (
        device("<graphics type='egl-headless'><gl/></graphics>"),
        device("<graphics type='egl-headless'><gl rendernode='/dev/dri/renderD128'/></graphics>"),
        {"start-console-decided"},
    ),
    "the program of a shared file system": (
        device("<filesystem><driver type='virtiofs'/></filesystem>"),
        device("<filesystem><driver type='virtiofs'/><binary path='/usr/libexec/virtiofsd'/></filesystem>"),
        {"start-value-decided"},
    ),
    "what the processor can encrypt": (
        domain("<launchSecurity type='sev'><policy>1</policy></launchSecurity>"),
        domain(
            "<launchSecurity type='sev'><policy>1</policy><cbitpos>47</cbitpos>"
            "<reducedPhysBits>1</reducedPhysBits></launchSecurity>"
        ),
        {"start-value-decided"},
    ),
    "a port without encryption": (
        device("<serial type='tcp'><source mode='bind' host='::1' service='1'/></serial>"),
        device("<serial type='tcp'><source mode='bind' host='::1' service='1' tls='no'/></serial>"),
        set(),
    ),
}


def _with(word: str, found: tuple[Difference, ...]) -> list[str]:
    return [one.finding.code or "" for one in found if one.word == word]


@pytest.mark.parametrize(("signed", "found", "code"), CONFIGURATION.values(), ids=CONFIGURATION)
def test_configuration_is_a_violation(signed: str, found: str, code: str) -> None:
    """With a code of the part; put back, there is no difference."""
    assert code in _with(VIOLATION, compared(signed, found))
    assert compared(signed, signed) == ()


@pytest.mark.parametrize(("signed", "found", "code"), BOUND.values(), ids=BOUND)
def test_a_bound_part_says_that_it_is_bound(signed: str, found: str, code: str) -> None:
    """Whether it is a violation for `sealward diff`, too, or only while the server stays on its node."""
    differences = compared(signed, found)

    assert [one.finding.code for one in differences if one.word in {VIOLATION, "bound"}][:1] == [code]
    assert FINDINGS[code].kind.value == "bound"


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [(kind, *pair) for kind, pairs in HARMLESS.items() for pair in pairs.values()],
    ids=[name for pairs in HARMLESS.values() for name in pairs],
)
def test_what_is_assigned_or_a_state_is_no_violation(kind: str, before: str, after: str) -> None:
    """It is shown with its class and a code of that class."""
    differences = compared(device(before), device(after))

    assert _with(VIOLATION, differences) == []
    assert set(_with(kind, differences)) <= {f"{kind}-changed"}
    assert {one.word for one in differences} <= {kind}


@pytest.mark.parametrize(("signed", "running", "codes"), STARTS.values(), ids=STARTS)
def test_what_a_start_makes_of_a_definition_is_no_violation(
    signed: str, running: str, codes: set[str]
) -> None:
    """Each value has the code of what the start decided, or of what libvirt derives."""
    differences = compared(signed, signed, running)

    assert _with(VIOLATION, differences) == []
    assert {one.finding.code for one in differences} == codes
