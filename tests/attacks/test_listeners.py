"""Each listener that opens a server to others is a violation when it was not signed.

The listeners are those of libvirt's schema of a domain (domaincommon.rng): consoles with their channels and
websockets, character devices in each listening mode, sockets of devices whose other end is another process,
and what QEMU is told past libvirt.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from sealward.events.comparison.binding import AS_SIGNED, Binding, doors_opened, is_violated
from sealward.events.comparison.measurement import Measurement, differing
from sealward.events.is_valid import IsValid
from sealward.events.verdict import UNSEALED, judged
from sealward.node_agent.gate.decision.judge import Reason, of_difference
from sealward.node_agent.measuring.findings import findings
from sealward.node_agent.measuring.measure import Measured, measure

PLACE = "<video/>"
"""Where a device is added to the domain."""
AUTO = "<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>"
DOMAIN = f"""<domain type='kvm'>
  <name>instance-1</name><uuid>5a5a0000-0000-4000-8000-000000000001</uuid>
  <memory>1024</memory><memoryBacking><nosharepages/><locked/></memoryBacking>
  <devices>
    <interface type='vhostuser'>
      <mac address='fa:16:3e:00:00:02'/><source type='unix' path='/run/vhu1' mode='client'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <channel type='unix'><source mode='bind'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    {AUTO}
    {PLACE}
  </devices>
</domain>"""
ANY = "0.0.0.0"  # noqa: S104 - nobody binds to it
SOURCES = {
    "tcp": f"type='tcp'><source mode='bind' host='{ANY}' service='1'/><protocol type='raw'/>",
    "telnet": f"type='tcp'><source mode='bind' host='{ANY}' service='1'/><protocol type='telnet'/>",
    "tcp on the node": "type='tcp'><source mode='bind' host='127.0.0.1' service='1'/>",
    "udp": f"type='udp'><source mode='bind' host='{ANY}' service='1'/><source mode='connect' service='2'/>",
    "unix": "type='unix'><source mode='bind' path='/tmp/s'/>",
    "unix that looks like libvirt's own": "type='unix'><source mode='bind' "
    "path='/var/lib/libvirt/qemu/channel/../../../../../tmp/org.x'/>",
    "spiceport": "type='spiceport'><source channel='org.qemu.console.serial.0'/>",
    "spicevmc": "type='spicevmc'>",
    "dbus": "type='dbus'><source channel='org.x'/>",
    "pipe": "type='pipe'><source path='/tmp/p'/>",
    "file": "type='file'><source path='/tmp/f'/>",
    "dev": "type='dev'><source path='/dev/ttyS0'/>",
    "pty": "type='pty'>",
}
CHARACTERS = {
    "serial": "<target port='1'/></serial>",
    "parallel": "<target port='0'/></parallel>",
    "console": "<target type='virtio' port='1'/></console>",
    "channel": "<target type='virtio' name='org.x'/></channel>",
    "redirdev": "</redirdev>",
    "smartcard": "</smartcard>",
}
ADDED = {
    f"{device} as {kind}": f"<{device} {SOURCES[kind]}{CHARACTERS[device]}"
    for device, kind in product(CHARACTERS, SOURCES)
} | {
    "spice": "<graphics type='spice' autoport='yes'/>",
    "spice on a socket": "<graphics type='spice'><listen type='socket' socket='/tmp/s'/></graphics>",
    "spice that may pass files": "<graphics type='spice'><filetransfer enable='yes'/></graphics>",
    "a second VNC": "<graphics type='vnc' port='-1' autoport='yes'/>",
    "VNC on a socket": "<graphics type='vnc' socket='/tmp/vnc'/>",
    "VNC on a libvirt network": "<graphics type='vnc'><listen type='network' network='default'/></graphics>",
    "rdp": "<graphics type='rdp' autoport='yes' multiUser='yes'/>",
    "dbus": "<graphics type='dbus' p2p='no' address='tcp:host=0.0.0.0,port=1'/>",
    "vsock": "<vsock model='virtio'><cid auto='yes'/></vsock>",
    "vsock with an address": "<vsock model='virtio'><cid auto='no' address='3'/></vsock>",
    "a disk over NBD": "<disk type='network'><source protocol='nbd' name='x'><host name='e'/></source>"
    "<target dev='vdz'/></disk>",
    "a disk at another process": "<disk type='vhostuser'><source type='unix' path='/tmp/s' mode='server'/>"
    "<target dev='vdz'/></disk>",
    "a card at another process": "<interface type='vhostuser'><source mode='server'/></interface>",
    "a card that listens": "<interface type='server'><source address='0.0.0.0' port='1'/></interface>",
    "a card by multicast": "<interface type='mcast'><source address='230.0.0.1' port='1'/></interface>",
    "a card with a port of the node": "<interface type='user'><backend type='passt'/>"
    "<portForward proto='tcp'><range start='22'/></portForward></interface>",
    "shared memory with a server": "<shmem name='x'><server path='/tmp/s'/></shmem>",
    "shared memory": "<shmem name='x'><size unit='M'>4</size></shmem>",
    "a folder of the node": "<filesystem type='mount'><source dir='/'/><target dir='x'/></filesystem>",
    "a folder at another process": "<filesystem type='mount'><driver type='virtiofs'/><source socket='/s'/>"
    "<target dir='x'/></filesystem>",
    "random numbers of a peer": f"<rng model='virtio'><backend model='egd' {SOURCES['tcp']}</backend></rng>",
    "a TPM at another process": "<tpm><backend type='external'><source type='unix' mode='connect' path='/t'/>"
    "</backend></tpm>",
    "a device of the node": "<hostdev type='pci'><source><address bus='1'/></source></hostdev>",
    "a USB device of the node": "<hostdev type='usb'><source><vendor id='1'/></source></hostdev>",
    "a SCSI target of the node": "<hostdev mode='subsystem' type='scsi_host'>"
    "<source protocol='vhost' wwpn='naa.1'/></hostdev>",
    "input of the node": "<input type='evdev'><source dev='/dev/input/event0'/></input>",
    "sound at a server": "<audio id='2' type='pulseaudio' serverName='evil.example.org'/>",
    "a clipboard": "<channel type='qemu-vdagent'><source><clipboard copypaste='yes'/></source>"
    "<target type='virtio' name='com.redhat.spice.0'/></channel>",
}
CHANGED = {
    "a websocket whose port libvirt chooses": ("autoport='yes'", "autoport='yes' websocket='-1'"),
    "a websocket at a port": ("autoport='yes'", "autoport='yes' websocket='5700'"),
    "a websocket without autoport": (AUTO, "<graphics type='vnc' port='5901' websocket='5701'/>"),
    "a console that listens to everybody": ("listen='127.0.0.1'", f"listen='{ANY}'"),
    "a console that several may use": ("autoport='yes'", "autoport='yes' sharePolicy='force-shared'"),
    "a console that powers the server off": ("autoport='yes'", "autoport='yes' powerControl='yes'"),
    "a device of the node that draws": ("<graphics type='vnc'", "<graphics type='egl-headless'"),
    "a card that serves": ("mode='client'", "mode='server'"),
    "a serial port that listens": ("<serial type='pty'>", f"<serial {SOURCES['tcp']}"),
    "a serial port that is logged": ("<target port='0'/>", "<target port='0'/><log file='/tmp/l'/>"),
    "an agent's channel elsewhere": ("<source mode='bind'/>", "<source mode='bind' path='/tmp/agent'/>"),
    "an agent's channel to a peer": ("<source mode='bind'/>", "<source mode='connect' path='/run/x'/>"),
}
ARGUMENTS = {
    "a monitor": ("-monitor", f"tcp:{ANY}:1,server,nowait"),
    "a monitor for programs": ("-qmp", f"tcp:{ANY}:1,server=on,wait=off"),
    "a debugger": ("-gdb", "tcp::1"),
    "a VNC of QEMU's own": ("-vnc", ":9,websocket=on"),
    "a character device": ("-chardev", f"socket,id=x,host={ANY},port=1,server=on"),
}


def argued(arguments: tuple[str, ...]) -> str:
    """Return the domain with arguments for QEMU."""
    space = "http://libvirt.org/schemas/domain/qemu/1.0"
    inside = "".join(f"<q:arg value='{one}'/>" for one in arguments)
    return DOMAIN.replace("</domain>", f"<q:commandline xmlns:q='{space}'>{inside}</q:commandline></domain>")


OPENED = (
    {name: DOMAIN.replace(PLACE, device + PLACE) for name, device in ADDED.items()}
    | {name: DOMAIN.replace(old, new, 1) for name, (old, new) in CHANGED.items()}
    | {name: argued(arguments) for name, arguments in ARGUMENTS.items()}
)
SIGNED = measure(DOMAIN, None, "libvirt 9.0.0")
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MOVED = Binding(is_open=True)


def verdict(found: Measured, binding: Binding) -> IsValid:
    """Return what the control plane says of a measurement, given all that the agent explains."""
    pairs = differing(SIGNED.measurement, found.measurement)
    return judged(
        UNSEALED,
        SIGNED.measurement,
        found.measurement,
        findings=findings(SIGNED.evidence(), found.evidence(), pairs) if pairs else (),
        checked_at=NOON,
        fresh_until=NOON,
        binding=binding,
    ).is_valid


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize("binding", [AS_SIGNED, MOVED], ids=["stays", "moved"])
@pytest.mark.parametrize("hypervisor", ["libvirt 9.0.0", "libvirt 11.3.0"])
def test_a_listener_that_nobody_signed_is_false(name: str, binding: Binding, hypervisor: str) -> None:
    """While the server stays, after a move, and after an upgrade of libvirt; so it does not start, either."""
    found = measure(OPENED[name], None, hypervisor)
    pairs = differing(SIGNED.measurement, found.measurement)
    explained = findings(SIGNED.evidence(), found.evidence(), pairs) if pairs else ()

    assert verdict(found, binding) is IsValid.FALSE
    assert of_difference(SIGNED.measurement, found.measurement, explained, binding) is Reason.DIFFERS


@pytest.mark.parametrize("name", OPENED)
def test_a_listener_in_the_running_form_alone_is_false(name: str) -> None:
    """It was plugged in, or opened through an update of the device."""
    assert verdict(measure(DOMAIN, OPENED[name], "libvirt 9.0.0"), AS_SIGNED) is IsValid.FALSE


@pytest.mark.parametrize("name", OPENED)
def test_a_listener_that_was_signed_is_true(name: str) -> None:
    """With any port that libvirt has chosen for it."""
    signed = measure(OPENED[name], None, "libvirt 9.0.0").measurement
    live = OPENED[name].replace("port='-1'", "port='5900'").replace("websocket='-1'", "websocket='5700'")
    found = measure(OPENED[name], live, "libvirt 9.0.0").measurement

    assert not differing(signed, found)
    assert not is_violated(signed, AS_SIGNED, found)


def test_a_reference_of_before_stays_as_it_is() -> None:
    """No agent looked for a websocket when it was signed: the server can have had one, and stays true."""
    now = measure(OPENED["a websocket whose port libvirt chooses"], None, "").measurement
    before = Measurement(
        now.profile, now.sections, now.live, now.hypervisor, now.host_bound, now.files, now.doors
    )

    assert before.hidden_doors is None
    assert not is_violated(before, AS_SIGNED, now)
    assert doors_opened(SIGNED.measurement, now) == ("/domain/devices/graphics: offers a websocket",)
