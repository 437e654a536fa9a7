"""A libvirt whose version changed a little hides nothing: only what libvirt itself fills in is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from sealward.events.comparison.doubt import MOST, SECTIONS, in_doubt
from sealward.events.comparison.measurement import Finding, Measurement, differing
from sealward.events.is_valid import IsValid
from sealward.events.verdict import UNSEALED, equal, judged
from sealward.node_agent.gate.decision.judge import Reason, of_difference
from sealward.node_agent.measuring.findings import findings
from sealward.node_agent.measuring.measure import Measured, measure

SIGNED = Path(__file__).parent.parent / "assets" / "domains" / "real1-qemu.9-stopped.inactive.xml"
OLD, NEW = "libvirt 9.0.0", "libvirt 9.0.1"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def domain() -> etree._Element:
    """Return what was signed, a real dump of libvirt."""
    return etree.fromstring(SIGNED.read_bytes())


def measured(root: etree._Element, version: str) -> Measured:
    """Measure a definition as a libvirt of that version shows it; a `<files>` comes from what files hold."""
    files = root.find("files")
    content = etree.Element("files", root="a" * 64) if files is None else files
    if files is not None:
        root.remove(files)
    return measure(etree.tostring(root), None, version, lambda _: content)


def verdict_and_start(root: etree._Element) -> tuple[IsValid, Reason | None]:
    """Return the verdict on a server that was true, and what its start is objected to for."""
    signed, found = measured(domain(), OLD), measured(root, NEW)
    pairs = differing(signed.measurement, found.measurement)
    assert pairs, "nothing differs"
    explained = findings(signed.evidence(), found.evidence(), pairs)
    before = equal(UNSEALED, NOON, NOON + timedelta(hours=1))
    verdict = judged(
        before,
        signed.measurement,
        found.measurement,
        findings=explained,
        checked_at=NOON + timedelta(seconds=1),
        fresh_until=NOON + timedelta(hours=1),
    )
    return verdict.is_valid, of_difference(signed.measurement, found.measurement, explained)


def put(place: str, **attributes: str) -> Callable[[etree._Element], None]:
    """Return what sets attributes of the first element at `place`."""

    def change(root: etree._Element) -> None:
        element = root.find(place)
        assert element is not None, place
        element.attrib.update(attributes)

    return change


def add(place: str, xml: str) -> Callable[[etree._Element], None]:
    """Return what adds an element to the one at `place`; `.` is the domain."""

    def change(root: etree._Element) -> None:
        element = root if place == "." else root.find(place)
        assert element is not None, place
        element.append(etree.fromstring(xml))

    return change


def drop(place: str) -> Callable[[etree._Element], None]:
    """Return what takes away the first element at `place`."""

    def change(root: etree._Element) -> None:
        element = root.find(place)
        assert element is not None, place
        owner = element.getparent()
        assert owner is not None, place
        owner.remove(element)

    return change


def last(place: str) -> Callable[[etree._Element], None]:
    """Return what puts the first element at `place` behind all others of its parent."""

    def change(root: etree._Element) -> None:
        element = root.find(place)
        assert element is not None, place
        owner = element.getparent()
        assert owner is not None, place
        owner.append(element)

    return change


EVIL: dict[str, Callable[[etree._Element], object]] = {
    "an initrd that was not there": add("os", "<initrd>/evil</initrd>"),
    "another initrd under the same path": add(".", "<files root='bbbb'/>"),
    "another boot order": put("os/boot", dev="network"),
    "another loader": add("os", "<loader type='pflash'>/evil.fd</loader>"),
    "another emulator": add("devices", "<emulator>/evil/qemu</emulator>"),
    "no confinement": add(".", "<seclabel type='none' model='dac'/>"),
    "arguments of QEMU": add(".", f"<commandline xmlns='{QEMU}'><arg value='-evil'/></commandline>"),
    "an element that nobody has heard of": add(".", "<novelty/>"),
    "another name in SMBIOS": add(".", "<sysinfo type='smbios'/>"),
    "another project in nova's metadata": add("metadata", "<x xmlns='urn:x'/>"),
    "another image behind a disk": put("devices/disk/source", file="/evil"),
    "a disk more": add("devices", "<disk type='file'><source file='/evil'/><target dev='vdz'/></disk>"),
    "a disk that others write to": add("devices/disk", "<shareable/>"),
    "a folder of the host": add(
        "devices", "<filesystem type='mount'><source dir='/'/><target dir='h'/></filesystem>"
    ),
    "another disk mirrored": add("devices/disk", "<mirror type='file' file='/evil'/>"),
    "a PCI device of the host": add(
        "devices", "<hostdev mode='subsystem' type='pci'><source><address bus='0x01'/></source></hostdev>"
    ),
    "another card": add("devices", "<interface type='bridge'><source bridge='evil'/></interface>"),
    "another kind of card": put("devices/interface", type="bridge"),
    "filters of guests that are trusted": put("devices/interface", trustGuestRxFilters="yes"),
    "more memory": lambda root: setattr(root.find("memory"), "text", "999999999"),
    "fewer processors": lambda root: setattr(root.find("vcpu"), "text", "99"),
    "a console on all addresses": add("devices", "<graphics type='vnc' listen='0.0.0.0'/>"),
    "an unencrypted SPICE channel": put("devices/graphics", defaultMode="insecure"),
    "a serial port on the network": add(
        "devices", "<serial type='tcp'><source mode='bind' host='0.0.0.0' service='1'/></serial>"
    ),
    "a log of a serial port over a file": put("devices/serial/log", file="/etc/passwd"),
    "randomness from a file": lambda root: setattr(root.find("devices/rng/backend"), "text", "/evil"),
    "an input device of the host": add(
        "devices", "<input type='evdev'><source dev='/dev/input/event0'/></input>"
    ),
    "a TPM of the host": add("devices", "<tpm><backend type='passthrough'/></tpm>"),
    "memory shared with the host": add("devices", "<shmem name='evil'/>"),
    "sound through a file": add("devices", "<audio id='7' type='file' path='/evil'/>"),
    "no balloon": drop("devices/memballoon"),
    "devices in another order": last("devices/controller"),
    "a clock that the guest may not set": put("clock", offset="localtime"),
    "a default and an evil disk at once": lambda root: (
        put("devices/memballoon", freePageReporting="on")(root),
        put("devices/disk/source", file="/evil")(root),
    ),
    "so many defaults that the last change is not shown": lambda root: (
        [add("devices", f"<controller type='scsi' index='{n}'/>")(root) for n in range(MOST)],
        add("devices", "<shmem name='evil'/>")(root),
    ),
}
FILLED_IN: dict[str, Callable[[etree._Element], object]] = {
    "a processor spelled out": add("cpu", "<feature policy='disable' name='svm'/>"),
    "a processor's check": put("cpu", check="full"),
    "a balloon's default": put("devices/memballoon", freePageReporting="off"),
    "a timer": add("clock", "<timer name='tsc' present='yes'/>"),
    "the watchdog of a chip set": add("devices", "<watchdog model='itco' action='reset'/>"),
    "a sound backend without sound": add("devices", "<audio id='2' type='none'/>"),
    "a controller": add("devices", "<controller type='virtio-serial' index='0'/>"),
    "a video card's settings": put("devices/video/model", blob="off"),
    "where memory is dumped": put("memory", dumpCore="on"),
    "an address": add("devices/serial", "<address type='isa'/>"),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_libvirt_never_rewrites_is_false_and_refused(name: str) -> None:
    """For each version of libvirt that runs now."""
    root = domain()
    EVIL[name](root)

    assert verdict_and_start(root) == (IsValid.FALSE, Reason.DIFFERS)


@pytest.mark.parametrize("name", FILLED_IN)
def test_what_libvirt_fills_in_is_in_doubt(name: str) -> None:
    """It may be an upgrade's doing: nothing is refused, and nothing is true."""
    root = domain()
    FILLED_IN[name](root)

    assert verdict_and_start(root) == (IsValid.UNKNOWN, Reason.PROFILE)


@pytest.mark.parametrize(
    "section", ["files", "boot", "security", "qemu-ext", "identity", "metadata", "other"]
)
def test_some_sections_are_never_in_doubt(section: str) -> None:
    """By their digests alone, and next to what is in doubt."""
    reference = Measurement("p/1", {section: "aa", "cpu": "aa"}, {}, OLD)
    found = replace(reference, sections={section: "bb", "cpu": "bb"}, hypervisor=NEW)

    assert section not in SECTIONS
    assert not in_doubt(reference, found, ())


def test_a_place_with_a_misleading_key_is_not_taken_for_another() -> None:
    """The writer of the XML chooses the values by which devices are told apart."""
    reference = Measurement("p/1", {"disks": "aa"}, {}, OLD)
    found = replace(reference, sections={"disks": "bb"}, hypervisor=NEW)
    misleading = (
        '/domain/devices/disk[target/@dev="x]/address"]/source/@file',
        "/domain/devices/disk[2]/source[2]/address/@file",
        '/domain/devices/disk[target/@dev="a"]/source/address',
    )

    for xpath in misleading:
        assert not in_doubt(reference, found, [Finding("disks", xpath, None, "/evil")])
    assert in_doubt(
        reference, found, [Finding("disks", '/domain/devices/disk[target/@dev="]"]/address', None, "")]
    )
