"""What decides what runs is measured, wherever a domain names it: programs, memory, and arguments of QEMU."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from images import qemu_img

from sealward.events.comparison.binding import AS_SIGNED, is_violated
from sealward.events.comparison.measurement import COMPANIONS, FILES, Measurement, differing
from sealward.events.is_valid import IsValid
from sealward.events.signing.statement import Statement, parse
from sealward.events.verdict import UNSEALED, judged
from sealward.node_agent.files import offline
from sealward.node_agent.files.content.remembered import Remembered
from sealward.node_agent.files.protected import is_protected
from sealward.node_agent.measuring.findings import findings
from sealward.node_agent.measuring.measure import Measured, measure

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
SERVER = "5a5a0000-0000-4000-8000-000000000001"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NVDIMM = (
    "<memory model='nvdimm'{0}><source><path>{1}</path></source>{2}<target><size>4</size></target></memory>"
)


def domain(devices: str = "", before: str = "", extra: str = "") -> str:
    """Return a domain."""
    return (
        f"<domain type='kvm' xmlns:q='{QEMU}'><name>i</name><uuid>{SERVER}</uuid>{before}"
        f"<devices>{devices}</devices>{extra}</domain>"
    )


def arguments(*words: str) -> str:
    """Return a domain with arguments for QEMU."""
    inside = "".join(f"<q:arg value='{one}'/>" for one in words)
    return domain(extra=f"<q:commandline>{inside}</q:commandline>")


def seen(xml: str, folder: Path) -> Measured:
    """Measure a domain with its files, as the start gate does."""
    files = offline.files(Remembered(str(folder / "none.sqlite")), time.monotonic() + math.inf)
    return measure(xml, None, "libvirt 9.0.0", files)


def changes(xml: str, folder: Path, change: Callable[[], object]) -> tuple[str, ...]:
    """Return what findings say of a change of companions, which must be false."""
    signed = seen(xml, folder)
    assert not signed.measurement.unread
    assert not differing(signed.measurement, seen(xml, folder).measurement)
    change()
    found = seen(xml, folder)
    pairs = differing(signed.measurement, found.measurement)
    explained = findings(signed.evidence(), found.evidence(), pairs)
    verdict = judged(
        UNSEALED,
        signed.measurement,
        found.measurement,
        findings=explained,
        checked_at=NOON,
        fresh_until=NOON,
    )
    assert pairs == ((FILES, COMPANIONS),)
    assert verdict.is_valid is IsValid.FALSE
    return tuple(str(one) for one in explained)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Return a file that others than root can change."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    file = folder / "file"
    file.write_bytes(b"good")
    return file


NAMED: dict[str, Callable[[Path], str]] = {
    "the emulator": lambda one: domain(f"<emulator>{one}</emulator>"),
    "the boot loader": lambda one: domain(before=f"<bootloader>{one}</bootloader>"),
    "virtiofsd": lambda one: domain(f"<filesystem><binary path='{one}'/><target dir='x'/></filesystem>"),
    "the script of a card": lambda one: domain(
        f"<interface type='ethernet'><script path='{one}'/></interface>"
    ),
    "its other script": lambda one: domain(
        f"<interface type='ethernet'><downscript path='{one}'/></interface>"
    ),
    "memory that is private": lambda one: domain(NVDIMM.format("", one, "")),
    "memory that says so": lambda one: domain(NVDIMM.format(" access='private'", one, "")),
    "memory that is read only": lambda one: domain(NVDIMM.format(" access='shared'", one, "<readonly/>")),
    "a raw image that is read only": lambda one: arguments("-drive", f"file={one},format=raw,readonly=on"),
    "the name alone means on": lambda one: arguments("-drive", f"file={one},format=raw,readonly"),
    "an image of which a copy is written": lambda one: arguments(
        "-drive", f"file={one},format=raw,snapshot=on"
    ),
    "all images are copies": lambda one: arguments("-snapshot", "-drive", f"file={one},format=raw"),
    "a CD": lambda one: arguments("-cdrom", str(one)),
    "nodes in JSON": lambda one: arguments(
        "-blockdev", f'{{"driver":"raw","read-only":true,"file":{{"driver":"file","filename":"{one}"}}}}'
    ),
    "nodes by name": lambda one: arguments(
        "-blockdev",
        f"driver=file,node-name=f,filename={one}",
        "-blockdev",
        "driver=raw,node-name=r,file=f,read-only=on",
    ),
    "nodes by dots": lambda one: arguments(
        "-blockdev", f"driver=raw,read-only=on,file.driver=file,file.filename={one}"
    ),
    "below a filter": lambda one: arguments(
        "-drive",
        f"driver=raw,readonly=on,file.driver=throttle,file.file.driver=file,file.file.filename={one}",
    ),
    "a backing file by name": lambda one: arguments(
        "-drive", f"driver=qcow2,file.driver=null-co,backing.driver=raw,backing.file.filename={one}"
    ),
    "JSON in a name": lambda one: arguments(
        "-drive", f'format=raw,readonly=on,file=json:{{"driver":"file",,"filename":"{one}"}}'
    ),
    "with a protocol": lambda one: arguments("-drive", f"format=raw,readonly=on,file=file:{one}"),
    "without a slash": lambda one: arguments("-drive", f"format=raw,readonly=on,file={str(one).lstrip('/')}"),
    "a plugin": lambda one: arguments("-plugin", f"{one},x=1"),
    "a plugin by key": lambda one: arguments("-plugin", f"file={one}"),
    "a script in an argument": lambda one: arguments("-netdev", f"tap,id=x,script={one},downscript=no"),
    "a helper": lambda one: arguments("-netdev", f"bridge,id=x,helper={one}"),
    "memory by an object": lambda one: arguments(
        "-object", f"memory-backend-file,id=m,mem-path={one},size=4"
    ),
    "an incoming state": lambda one: arguments("-incoming", f"exec:{one} --now"),
    "a setting of a device": lambda one: arguments("-set", f"device.net0.romfile={one}"),
    "an option of tomorrow": lambda one: arguments("-tomorrow", f"x={one}"),
    "an option in JSON": lambda one: arguments("-tomorrow", f'{{"a":[{{"b":"{one}"}}]}}'),
    "the environment": lambda one: domain(
        extra=f"<q:commandline><q:env name='LD_PRELOAD' value='{one}'/></q:commandline>"
    ),
    "a list in the environment": lambda one: domain(
        extra=f"<q:commandline><q:env name='LD_AUDIT' value='/none.so:{one}'/></q:commandline>"
    ),
    "a folder in the environment": lambda one: domain(
        extra=f"<q:commandline><q:env name='QEMU_MODULE_DIR' value='{one.parent}'/></q:commandline>"
    ),
    "a folder of firmware": lambda one: arguments("-L", str(one.parent)),
    "a property that is overridden": lambda one: domain(
        extra="<q:override><q:device alias='net0'><q:frontend>"
        f"<q:property name='romfile' type='string' value='{one}'/></q:frontend></q:device></q:override>"
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_decides_what_runs_is_false_when_its_content_changes(
    name: str, evil: Path, tmp_path: Path
) -> None:
    """And a finding says where, with the name of the file where it has one."""
    (said,) = changes(NAMED[name](evil), tmp_path, lambda: evil.write_bytes(b"evil"))

    assert "@content" in said
    assert str(evil) in said or 'role="memory"' in said


@pytest.mark.parametrize("name", ["an option of tomorrow", "the environment", "a folder of firmware"])
def test_what_appears_where_nothing_was_is_false(name: str, evil: Path, tmp_path: Path) -> None:
    """QEMU passes over a library that is not there, until there is one."""
    evil.unlink()
    changes(NAMED[name](evil), tmp_path, lambda: evil.write_bytes(b"evil"))


def test_another_base_of_an_image_in_arguments_is_false(evil: Path, tmp_path: Path) -> None:
    """The image is written to, so it counts by its links; what is below it by its content."""
    base, image = evil, evil.with_name("image")
    base.write_bytes(bytes(65536))
    qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", image)
    xml = arguments("-drive", f"file={image},format=qcow2")
    signed = seen(xml, tmp_path).measurement
    qemu_img("bitmap", "--add", image, "written")
    assert not differing(signed, seen(xml, tmp_path).measurement)

    changes(xml, tmp_path, lambda: base.write_bytes(bytes(65535) + b"x"))
    other = evil.with_name("other")
    other.write_bytes(bytes(65536))
    changes(xml, tmp_path, lambda: qemu_img("rebase", "-u", "-b", other, "-F", "raw", image))


@pytest.mark.parametrize(
    "xml",
    [
        lambda one: domain(NVDIMM.format(" access='shared'", one, "")),
        lambda one: domain(
            NVDIMM.format("", one, ""), "<memoryBacking><access mode='shared'/></memoryBacking>"
        ),
        lambda one: arguments("-drive", f"file={one},format=raw"),
        lambda one: arguments("-hda", str(one)),
        lambda one: arguments(str(one)),
        lambda one: arguments("-object", f"memory-backend-file,id=m,mem-path={one},size=4,share=on"),
        lambda one: arguments("-chardev", f"file,id=x,path={one}"),
        lambda one: arguments("-D", str(one)),
        lambda one: arguments("-serial", f"file:{one}"),
        lambda one: arguments("-fsdev", f"local,id=x,path={one.parent}"),
        lambda one: arguments("-object", f"filter-dump,id=x,netdev=n,file={one}"),
        lambda one: arguments("-append", f"init={one}"),
    ],
)
def test_what_is_written_while_the_server_runs_is_no_violation(
    xml: Callable[[Path], str], evil: Path, tmp_path: Path
) -> None:
    """Disks, shared memory, logs; and what is the guest's own text."""
    signed = seen(xml(evil), tmp_path).measurement
    evil.write_bytes(b"else")

    assert not differing(signed, seen(xml(evil), tmp_path).measurement)


@pytest.mark.parametrize(
    "words", [("-spice", "x509-key-file={0}"), ("-object", "secret,id=s,file={0}"), ("-vnc", ":1,x={0}")]
)
def test_no_digest_of_a_secret_is_told(words: tuple[str, str], evil: Path, tmp_path: Path) -> None:
    """A digest of a short password is the password."""
    found = seen(arguments(words[0], words[1].format(evil)), tmp_path)

    assert found.measurement.companions is not None
    assert not found.measurement.companions.read


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-drive", "file=nbd:localhost:1,format=raw"), "network-disk"),
        (("-blockdev", '{"driver":"rbd","pool":"p","image":"i"}'), "network-disk"),
        (("-drive", "file=fat:/etc,format=raw"), "disk-kind-unknown"),
        (("-blockdev", '{"driver":"tomorrow","where":"x"}'), "disk-kind-unknown"),
        (("-blockdev", '{"driver":"raw","file":' * 100 + "0" + "}" * 100), "disk-kind-unknown"),
        (("-blockdev", "driver=null-co") * 1100, "disk-kind-unknown"),
        (("-drive", "file=/nowhere/x,format=raw"), "file-missing"),
    ],
)
def test_what_cannot_be_told_is_a_reason_for_unknown(
    words: tuple[str, ...], code: str, tmp_path: Path
) -> None:
    """As of a disk; and nothing of it raises."""
    assert code in seen(arguments(*words), tmp_path).measurement.unread


@pytest.mark.parametrize(
    "value",
    [
        "{" * 5000,
        '{"a":' * 900 + "1" + "}" * 900,
        '"{',
        '{"file":"\\u0000/\\ud800"}',
        "=,=,/" * 999,
        "json:{",
        "",
    ],
)
def test_odd_arguments_break_nothing(value: str, tmp_path: Path) -> None:
    """Arguments are for QEMU to understand; here they cost a server nothing but its own verdict."""
    text = value.replace('"', "&quot;")
    for option in ("-drive", "-blockdev", "-object", "-tomorrow", "-L"):
        seen(arguments(option, text), tmp_path).evidence()


def test_an_upgrade_of_a_program_that_is_roots_is_no_violation(tmp_path: Path) -> None:
    """The emulator of a distribution's package counts by its path alone, and not by its content."""
    emulator = "/usr/bin/env"
    signed = seen(domain(f"<emulator>{emulator}</emulator>"), tmp_path).measurement

    assert is_protected(Path(emulator))
    assert signed.companions is not None
    assert list(signed.companions.read) == ["emulator/1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_who_can_change_a_program_is_looked_at_on_the_whole_way(tmp_path: Path) -> None:
    """Its owner and mode, those of each folder, and where links lead."""
    folder = Path("/opt") / f"sealward-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        program, inner = folder / "in" / "qemu", folder / "in"
        inner.mkdir(mode=0o755)
        program.write_bytes(b"good")
        (folder / "link").symlink_to("in/qemu")
        (tmp_path / "link").symlink_to(program)
        assert is_protected(program)
        assert is_protected(folder / "link")
        (folder / "out").symlink_to(tmp_path / "link")
        tmp_path.chmod(0o777)
        assert not is_protected(folder / "out")
        for place, mode, owner in ((program, 0o775, 0), (program, 0o755, 65534), (inner, 0o757, 0)):
            os.chown(place, owner, 0)
            place.chmod(mode)
            assert not is_protected(program)
            os.chown(place, 0, 0)
            place.chmod(0o755)
        changes(domain(f"<emulator>{program}</emulator>"), tmp_path, lambda: inner.chmod(0o777))
    finally:
        for place in (folder / "in" / "qemu", folder / "link", folder / "out"):
            place.unlink(missing_ok=True)
        (folder / "in").rmdir()
        folder.rmdir()


def test_a_reference_of_before_stays_true(evil: Path, tmp_path: Path) -> None:
    """Nobody looked at companions when it was signed: they are not compared, and cost it no verdict."""
    xml = domain(f"<emulator>{evil}</emulator>")
    now = seen(xml, tmp_path).measurement
    before = Measurement(
        now.profile, now.sections, now.live, now.hypervisor, now.host_bound, now.files, now.doors
    )
    evil.unlink()
    found = seen(xml, tmp_path).measurement

    assert found.unread == ("file-missing",)
    assert found.beside(before).unread == ()
    assert not differing(before, found)
    assert not is_violated(before, AS_SIGNED, found)


def test_companions_are_signed(evil: Path, tmp_path: Path) -> None:
    """They are in the statement that node and authority sign."""
    found = seen(domain(f"<emulator>{evil}</emulator>"), tmp_path)
    statement = Statement(SERVER, 1, 1, 1, NOON, found.measurement, found.evidence())

    envelope = statement.envelope()
    assert parse(envelope.payload, envelope.payload_type).measurement == found.measurement
