"""The files of real QEMU guests: what runs and writes stays true, what is tampered with is false."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from images import qemu_img
from nodes import PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import Guest, make_disk

BRISK = {"sweep_interval": 0.3}
SNAPSHOT = """<domainsnapshot>
<disks><disk name='vda' snapshot='external'><source file='{file}'/></disk></disks>
</domainsnapshot>"""


@pytest.fixture
def layered(node: PrivateNode) -> Running:
    """Return a running guest that boots, with a disk over a raw base image."""
    guest = replace(Guest(node.guests), boots=True)
    base = make_disk(node.guests / "base.raw", "raw")
    make_disk(guest.disk, backing=(base, "raw"))
    return node.run(guest)


def _signed(sealward: Sealward, guest: Running) -> None:
    assert sealward.sign(guest.server_id)["is_valid"] == "true"
    sealward.action("activate")


def _findings(sealward: Sealward, guest: Running) -> dict[str, dict[str, str]]:
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    return {one["xpath"]: one for one in sealward.verdict(guest.server_id)["findings"]}


def _poke(file: Path, offset: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"!")


def test_a_guest_that_boots_and_writes_stays_true(layered: Running) -> None:
    """Its disk grows, its console is written to, it is reset, stopped and started."""
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        layered.wait_booted()
        layered.domain.reset()
        layered.domain.destroy()
        qemu_img("bench", "-f", "qcow2", "-w", "-c", "50", layered.guest.disk)
        layered.domain.create()
        sealward.action("activate")

        assert sealward.is_valid(layered.server_id) == "true"


def test_a_tampered_initrd_of_a_running_guest_is_false(layered: Running) -> None:
    """It would be what boots next."""
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        _poke(layered.guest.initrd, 100)
        found = _findings(sealward, layered)

    assert list(found) == [f'/domain/files/file[@path="{layered.guest.initrd}"]/@content at 0']


def test_a_tampered_base_of_a_running_guest_is_false_at_its_offset(layered: Running) -> None:
    """No libvirt event, no libvirt file: only the image itself tells."""
    base = layered.node.guests / "base.raw"
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        _poke(base, 33 * 1024 * 1024)
        found = _findings(sealward, layered)

    assert list(found) == [f'/domain/files/file[@path="{base}"]/@content at {32 * 1024 * 1024}']


def test_another_link_below_a_stopped_guest_is_false(layered: Running) -> None:
    """The XML is the same; the disk is another."""
    layered.domain.destroy()
    other = make_disk(layered.node.guests / "other.raw", "raw")
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        qemu_img("rebase", "-u", "-b", other, "-F", "raw", layered.guest.disk)
        found = _findings(sealward, layered)

    link = found[f'/domain/files/file[@path="{layered.guest.disk}"]/@backing']
    assert (link["signed"], link["found"]) == (str(layered.node.guests / "base.raw"), str(other))


def test_both_forms_name_the_same_files_after_a_snapshot(layered: Running) -> None:
    """The running form declares the chain that libvirt probed; it is the one that the headers have."""
    overlay = layered.guest.disk.with_name("overlay")
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    layered.domain.snapshotCreateXML(SNAPSHOT.format(file=overlay), flags)
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        envelope = sealward.ask("GET", f"/v1/sign/{layered.server_id}/envelope")
        _poke(layered.node.guests / "base.raw", 0)
        found = _findings(sealward, layered)

    assert envelope.status == 200
    assert {one["form"] for one in found.values()} == {"config"}
    assert len(found) == 1


def test_nvram_that_changes_on_every_boot_is_no_change(node: PrivateNode) -> None:
    """It is absent when signed, and then written to by the firmware; its template and the loader count."""
    guest = node.define(replace(Guest(node.guests), uefi=True))
    with watching(node, **BRISK) as sealward:
        _signed(sealward, guest)
        for _ in range(2):
            guest.domain.create()
            guest.domain.destroy()
        sealward.action("activate")

        assert sealward.is_valid(guest.server_id) == "true"


def test_a_guest_that_is_running_is_read_without_being_locked_out(layered: Running) -> None:
    """QEMU holds locks on its images; reading them for a measurement neither needs nor takes any."""
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        locked = subprocess.run(  # noqa: S603 - our own arguments
            ["qemu-img", "info", str(layered.guest.disk)],  # noqa: S607 - Debian's
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert b"lock" in locked.stderr
    assert layered.domain.isActive()


def test_measuring_on_the_command_line_gives_what_was_sealed(layered: Running) -> None:
    """An operator on the node can check the reference by hand, files included."""
    with watching(layered.node, **BRISK) as sealward:
        _signed(sealward, layered)
        envelope = sealward.ask("GET", f"/v1/sign/{layered.server_id}/envelope").json
    line = [sys.executable, "-m", "sealward", "measure", "--uri", layered.node.daemon.read_only_uri]
    done = subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [*line, layered.guest.name], capture_output=True, timeout=60, check=True
    )
    sealed = json.loads(base64.b64decode(envelope["payload"]))["subject"][0]["digest"]["sha256"]

    assert json.loads(done.stdout)["digest"] == sealed
