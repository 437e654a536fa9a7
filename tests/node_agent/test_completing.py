"""What libvirt makes of a definition at its start is no difference, or completes the definition."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealward.events.comparison.binding import (
    AS_SIGNED,
    Binding,
    completes,
    is_news,
    is_violated,
    strays,
    to_record,
)
from sealward.events.comparison.measurement import REDEFINED, STARTED, Measurement, differing
from sealward.node_agent.measuring.findings import host_bound_findings
from sealward.node_agent.measuring.measure import Measured, measure

STARTED_DOMAINS = Path(__file__).parent.parent / "assets" / "domains" / "started"


def _read(name: str) -> str:
    return (STARTED_DOMAINS / f"{name}.xml").read_text()


def _domain(devices: str = "", rest: str = "", attributes: str = "") -> str:
    return (
        f"<domain type='kvm'{attributes}><name>instance-1</name><memory unit='KiB'>2000000</memory>"
        f"{rest}<os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
    )


def _pairs(config: str, live: str) -> tuple[tuple[str, str], ...]:
    """Return what differs of a server that was signed while it was off."""
    return differing(measure(config, None, "").measurement, measure(config, live, "").measurement)


@pytest.mark.parametrize("name", ["network-bridge", "firmware-auto", "dimm-base", "block-job"])
def test_a_start_of_what_was_signed_off_is_no_difference(name: str) -> None:
    """Observed on libvirt 9.0: a bridge behind a network, firmware='efi', a memory device, a block copy."""
    config, live = _read(f"{name}.inactive"), _read(f"{name}.live")

    assert _pairs(config, live) == ()


@pytest.mark.parametrize("name", ["network-bridge", "firmware-auto", "dimm-base"])
def test_the_next_start_is_none_either(name: str) -> None:
    """Ports, numbers and addresses of the second start are others; what the first completed is the same."""
    config = _read(f"{name}.inactive")
    signed = measure(config, None, "").measurement
    first = measure(config, _read(f"{name}.live"), "").measurement
    second = measure(config, _read(f"{name}.live2"), "").measurement
    recorded = Binding(to_record(first))

    assert differing(signed, second) == ()
    assert not is_violated(signed, recorded, second)
    assert not is_news(signed, recorded, second)


def _completed() -> tuple[Measurement, Measured]:
    config = _read("network-bridge.inactive")
    return measure(config, None, "").measurement, measure(config, _read("network-bridge.live"), "")


def test_a_first_start_completes_the_reference_and_is_news() -> None:
    """The bridge becomes known, with a finding that names it."""
    signed, found = _completed()
    said = host_bound_findings(
        measure(_read("network-bridge.inactive"), None, "").evidence(), found.evidence()
    )

    assert completes(signed, AS_SIGNED, found.measurement)
    assert is_news(signed, AS_SIGNED, found.measurement)
    assert not is_violated(signed, AS_SIGNED, found.measurement)
    assert ("/domain/devices/interface/source/@bridge", None, "br0") in {
        (one.xpath, one.signed, one.found) for one in said
    }


def test_a_later_start_never_replaces_what_was_completed() -> None:
    """The network leads to another bridge: that is a violation, and the finding names both bridges."""
    config, live = _read("network-bridge.inactive"), _read("network-bridge.live")
    other = live.replace("bridge='br0'", "bridge='br1'")
    signed, first, second = (measure(config, one, "") for one in (None, live, other))
    recorded = Binding(to_record(first.measurement))

    assert strays(signed.measurement, recorded, second.measurement) == (STARTED,)
    assert not strays(signed.measurement, Binding(is_open=True), second.measurement)
    assert [(one.signed, one.found) for one in host_bound_findings(first.evidence(), second.evidence())] == [
        ("br0", "br1")
    ]


def test_a_server_that_was_sealed_while_it_ran_knows_what_was_picked() -> None:
    """The firmware of its next start must be the same."""
    config, live = _read("firmware-auto.inactive"), _read("firmware-auto.live")
    sealed = measure(config, live, "").measurement
    other = measure(config, live.replace("OVMF_CODE_4M.ms.fd", "OVMF_CODE.fd"), "").measurement

    assert strays(sealed, AS_SIGNED, measure(config, _read("firmware-auto.live2"), "").measurement) == ()
    assert strays(sealed, AS_SIGNED, other) == (STARTED,)


NIC = "<interface type='{}'><mac address='fa:16:3e:00:00:01'/>{}</interface>"
GRAPHICS = "<graphics type='vnc' port='-1' autoport='yes'{}><listen type='{}'{}/></graphics>"
USB = (
    "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/>{}</source></hostdev>"
)
CHANNEL = "<channel type='unix'>{}<target type='virtio' name='a'/></channel>"
OWN = "/run/libvirt/qemu/channel/7-instance-1/a"
SHELL = "<graphics type='vnc' port='-1' autoport='yes'><listen type='socket'{}/></graphics>"
SOCKET = "/var/lib/libvirt/qemu/domain-7-instance-1/vnc.sock"
BALLOON = "<currentMemory unit='KiB'>{}</currentMemory>"
CDROM = "<disk type='file' device='cdrom'>{}<target dev='sda'/></disk>"


@pytest.mark.parametrize(
    ("config", "live"),
    [
        (_domain(), _domain().replace("2000000", "2000896")),
        (
            _domain("<memballoon model='virtio'/>", BALLOON.format(2000000)),
            _domain("<memballoon model='virtio'/>", BALLOON.format(1000000)),
        ),
        (
            _domain(NIC.format("network", "<source network='n'/>")),
            _domain(NIC.format("direct", "<source network='n' portid='p' dev='eth0' mode='bridge'/>")),
        ),
        (
            _domain(NIC.format("network", "<source network='vf'/>")),
            _domain(
                NIC.format(
                    "hostdev' managed='yes",
                    "<driver name='vfio'/><source><address type='pci' domain='0' bus='3' slot='0'/></source>",
                )
            ),
        ),
        (
            _domain(GRAPHICS.format("", "network", " network='lan'")),
            _domain(GRAPHICS.format(" listen='10.0.0.1'", "network", " address='10.0.0.1' network='lan'")),
        ),
        (_domain(USB.format("")), _domain(USB.format("<address bus='1' device='4'/>"))),
        (
            _domain(CHANNEL.format("")),
            _domain(CHANNEL.format(f"<source mode='bind' path='{OWN}'/>")),
        ),
        (_domain(SHELL.format("")), _domain(SHELL.format(f" socket='{SOCKET}'"))),
        (
            _domain("<serial type='tcp'><source mode='bind' host='127.0.0.1' service='1'/></serial>"),
            _domain(
                "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='1' tls='no'/></serial>"
            ),
        ),
        (
            _domain("<vsock model='virtio'><cid auto='yes'/></vsock>"),
            _domain("<vsock model='virtio'><cid auto='yes' address='3'/></vsock>"),
        ),
        (
            _domain("<filesystem><driver type='virtiofs'/><source dir='/a'/></filesystem>"),
            _domain(
                "<filesystem><driver type='virtiofs'/><binary path='/usr/libexec/virtiofsd'/>"
                "<source dir='/a'/></filesystem>"
            ),
        ),
        (
            _domain(CDROM.format("<source file='/a.iso' startupPolicy='optional'/>")),
            _domain(CDROM.format("")),
        ),
        (
            _domain("<graphics type='spice'><gl enable='yes'/></graphics>"),
            _domain("<graphics type='spice'><gl enable='yes' rendernode='/dev/dri/renderD128'/></graphics>"),
        ),
        (
            _domain(rest="<launchSecurity type='sev'><policy>0x3</policy></launchSecurity>"),
            _domain(
                rest="<launchSecurity type='sev'><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>"
                "<policy>0x3</policy></launchSecurity>"
            ),
        ),
    ],
)
def test_what_libvirt_fills_in_at_a_start_is_no_difference(config: str, live: str) -> None:
    """From libvirt's source: rounded, resolved or picked for a running domain."""
    assert _pairs(config, live) == ()


@pytest.mark.parametrize(
    ("config", "live"),
    [
        (_domain(), _domain().replace("2000000", "4000000")),
        (_domain(), _domain().replace("2000000", "2000001")),
        (_domain(), _domain().replace("2000000", "1999872")),
        (
            _domain("<memballoon model='none'/>", BALLOON.format(2000000)),
            _domain("<memballoon model='none'/>", BALLOON.format(1000000)),
        ),
        (
            _domain(NIC.format("user", "")),
            _domain(NIC.format("bridge", "<source bridge='br0'/>")),
        ),
        (
            _domain(NIC.format("network", "<source network='n'/>")),
            _domain(NIC.format("bridge", "<source network='other' bridge='br0'/>")),
        ),
        (
            _domain(CHANNEL.format("<source mode='bind'/>")),
            _domain(CHANNEL.format("<source mode='bind' path='/tmp/libvirt/qemu/7-instance-1/a'/>")),
        ),
        (
            _domain(CHANNEL.format("<source mode='bind'/>")),
            _domain(CHANNEL.format("<source mode='bind' path='/run/libvirt/qemu/7-other/a'/>")),
        ),
        (
            _domain(
                "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='1' tls='yes'/></serial>"
            ),
            _domain(
                "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='1' tls='no'/></serial>"
            ),
        ),
        (
            _domain(CDROM.format("<source file='/a.iso' startupPolicy='optional'/>")),
            _domain(CDROM.format("<source file='/b.iso' startupPolicy='optional'/>")),
        ),
        (
            _domain("<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>"),
            _domain("<disk type='file' device='disk'><target dev='vda'/></disk>"),
        ),
        (
            _domain("<hostdev type='usb'><source><address bus='1' device='4'/></source></hostdev>"),
            _domain("<hostdev type='usb'><source><address bus='1' device='5'/></source></hostdev>"),
        ),
    ],
)
def test_what_no_rule_explains_is_a_difference(config: str, live: str) -> None:
    """A rule reaches no further than what libvirt does by itself."""
    assert _pairs(config, live)


def test_firmware_that_was_named_is_not_picked() -> None:
    """Only a definition that leaves the firmware to the node can be completed with it."""
    config, live = _read("firmware-auto.inactive"), _read("firmware-auto.live")

    assert ("boot", "live") in _pairs(config.replace("<os firmware='efi'>", "<os>"), live)
    assert ("boot", "live") in _pairs(config, live.replace("/qemu/nvram/", "/qemu/elsewhere/"))


def _redefined(config: str, live: str, defined: str, running: str | None) -> tuple[Measurement, Measurement]:
    signed = measure(config, None, "")
    return signed.measurement, measure(defined, running, "").beside(
        signed.measurement, signed.evidence(), measure(config, live, "").expanded
    ).measurement


@pytest.mark.parametrize("name", ["network-bridge", "firmware-auto", "block-job"])
@pytest.mark.parametrize("is_running", [True, False])
def test_a_definition_made_of_the_running_form_is_what_was_signed(name: str, *, is_running: bool) -> None:
    """After a volume swap nova defines the server anew from its running form."""
    config, live = _read(f"{name}.inactive"), _read(f"{name}.live")
    start, end = live.find("<mirror"), live.find("</mirror>") + len("</mirror>")
    defined = live[:start] + live[end:] if start >= 0 else live
    signed, found = _redefined(config, live, defined, defined if is_running else None)
    known = Binding(to_record(measure(config, live, "").measurement))

    assert differing(signed, found) == ()
    assert strays(signed, known, found) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bridge='br0'", "bridge='br1'"),
        ("name='lahf_lm'", "name='svm'"),
        ("<feature policy='require' name='lahf_lm'/>", "<feature policy='disable' name='spec-ctrl'/>"),
    ],
)
def test_a_definition_with_more_than_a_start_made_is_a_violation(old: str, new: str) -> None:
    """Values that the node decides are taken from a start alone, never from a definition."""
    config, live = _read("network-bridge.inactive"), _read("network-bridge.live")
    signed, found = _redefined(config, live, live.replace(old, new), None)
    known = Binding(to_record(measure(config, live, "").measurement))

    assert differing(signed, found) or strays(signed, known, found) == (REDEFINED,)
    assert is_violated(signed, AS_SIGNED, found) or differing(signed, found)


def test_a_definition_gets_no_lent_device_and_no_open_port() -> None:
    """What is accepted of a running form without being recorded could be anything in a definition."""
    network = _domain(NIC.format("network", "<source network='vf'/>"))
    lent = _domain(NIC.format("hostdev", "<source><address type='pci' bus='3'/></source>"))
    port = "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='1'{}/></serial>"
    closed, opened = _domain(port.format("")), _domain(port.format(" tls='no'"))

    for before, after in ((network, lent), (closed, opened)):
        signed, found = _redefined(before, before, after, None)
        assert differing(signed, found)
