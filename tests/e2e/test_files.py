"""Files of a server, through the agent and the HTTP API: tampering is false, ignorance is unknown."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuse import Slow, hung
from images import qemu_img
from running import BATCH, WEB, Running, running, until

from sealward.node_agent.files import measurer
from sealward.node_agent.files.content import reader
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.inotify_thread import REFRESH
from sealward.settings import Settings

DISK = f"/var/lib/nova/instances/{WEB}/disk"
MIB = 1024 * 1024
LARGE, BASE = 96 * MIB, 9 * MIB
SETTINGS = Settings(files="yes", sweep_interval=0.2)


class Place:
    """A Sealward whose server WEB has real files."""

    def __init__(self, sealward: Running, folder: Path) -> None:
        self.sealward = sealward
        self.folder = folder
        for name in ("vmlinuz", "initrd"):
            (folder / name).write_bytes(name.encode() * 1000)
        for name in ("base.raw", "other.raw"):
            qemu_img("create", "-f", "raw", folder / name, "9M")
        qemu_img("create", "-f", "qcow2", "-b", folder / "base.raw", "-F", "raw", folder / "disk")
        fleet = sealward.fleet
        fleet.replace(WEB, DISK, str(folder / "disk"))
        boot = f"<kernel>{folder / 'vmlinuz'}</kernel><initrd>{folder / 'initrd'}</initrd></os>"
        fleet.replace(WEB, "</os>", boot)
        fleet.stop(WEB)
        fleet.start(WEB)

    def findings(self) -> list[dict[str, Any]]:
        """Wait until the server is false, and return why."""
        until(lambda: self.sealward.is_valid() == "false")
        found: list[dict[str, Any]] = self.sealward.verdict()["findings"]
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a place whose node looks at everything five times a second."""
    with running(tmp_path / "data", settings=SETTINGS) as sealward:
        one = Place(sealward, tmp_path)
        sealward.sign()
        sealward.action("activate")
        until(lambda: sealward.is_valid() == "true")
        yield one


def _poke(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"!")


def test_a_tampered_initrd_is_false(place: Place) -> None:
    """The finding names the file, and both contents."""
    _poke(place.folder / "initrd", 10)
    (finding,) = place.findings()

    assert finding["section"] == "files"
    assert finding["xpath"] == f'/domain/files/file[@path="{place.folder / "initrd"}"]/@content at 0'
    assert finding["signed"].startswith("sealward-tree/1:")
    assert finding["found"] != finding["signed"]


def test_a_tampered_base_image_is_false_and_has_an_offset(place: Place) -> None:
    """The layer below a writable one is only read: a change in it is one of every server on it."""
    before = (place.folder / "base.raw").read_bytes()
    _poke(place.folder / "base.raw", 5 * MIB)
    (finding,) = place.findings()

    assert (
        finding["xpath"] == f'/domain/files/file[@path="{place.folder / "base.raw"}"]/@content at {4 * MIB}'
    )
    (place.folder / "base.raw").write_bytes(before)
    until(lambda: place.sealward.is_valid() == "true")


def test_another_backing_link_is_false(place: Place) -> None:
    """The writable layer counts by what it refers to."""
    qemu_img("rebase", "-u", "-b", place.folder / "other.raw", "-F", "raw", place.folder / "disk")
    by_xpath = {one["xpath"]: one for one in place.findings()}
    link = by_xpath[f'/domain/files/file[@path="{place.folder / "disk"}"]/@backing']

    assert (link["signed"], link["found"]) == (
        str(place.folder / "base.raw"),
        str(place.folder / "other.raw"),
    )


def test_what_the_guest_writes_is_no_change(place: Place) -> None:
    """No red from a running guest."""
    qemu_img("bench", "-f", "qcow2", "-w", "-c", "10", place.folder / "disk")
    place.sealward.action("activate")

    assert place.sealward.is_valid() == "true"


def test_a_missing_file_is_unknown_and_says_so(place: Place) -> None:
    """Not false: nobody knows what is in it; and true again when it is back as it was."""
    (place.folder / "vmlinuz").rename(place.folder / "away")
    until(lambda: place.sealward.verdict()["reasons"] == ["file-missing"])

    assert place.sealward.is_valid() == "unknown"
    (place.folder / "away").rename(place.folder / "vmlinuz")
    until(lambda: place.sealward.is_valid() == "true")


def test_a_changed_domain_is_false_whatever_its_files_are(place: Place) -> None:
    """A file that cannot be measured hides no change of the XML."""
    place.sealward.fleet.replace(WEB, str(place.folder / "initrd"), str(place.folder / "nothing-there"))
    sections = {one["section"] for one in place.findings()}

    assert sections == {"boot", "files"}


def test_a_network_disk_cannot_be_sealed(place: Place) -> None:
    """It stays unknown, and the verdict says why."""
    network = "<source protocol='rbd' name='pool/image'><host name='203.0.113.7'/></source>"
    fleet = place.sealward.fleet
    xml = fleet.xml(BATCH)
    disk = xml[xml.index("<disk type='file'") : xml.index("</disk>")]
    source = disk[disk.index("<source") : disk.index("/>", disk.index("<source")) + 2]
    fleet.define(xml.replace(disk, disk.replace("type='file'", "type='network'", 1).replace(source, network)))
    place.sealward.sign(BATCH)
    until(lambda: place.sealward.verdict(BATCH)["reasons"] == ["not-sealed", "network-disk"])

    assert place.sealward.is_valid(BATCH) == "unknown"


def test_long_hashing_seals_by_itself_and_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POST answers unknown, the task says what it waits for, other servers go on, and then it is true."""
    gate, begun, really = threading.Event(), threading.Event(), reader.stretches

    def slow(*args: object) -> Iterator[bytes]:
        begun.set()
        gate.wait(20)
        return really(*args)  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setitem(FileMeasurer.__init__.__kwdefaults__ or {}, "patience", 0.05)
    monkeypatch.setattr(reader, "stretches", slow)
    settings = Settings(files="yes", wait=0.3)
    with running(tmp_path / "data", settings=settings) as sealward:
        Place(sealward, tmp_path)
        assert sealward.sign()["is_valid"] == "unknown"
        until(lambda: sealward.verdict()["reasons"] == ["not-sealed", "files-being-measured"])
        sealward.action("activate")  # the agent sweeps, and answers
        gate.set()
        until(lambda: sealward.is_valid() == "true")
        gate.clear()
        begun.clear()
        _poke(tmp_path / "base.raw", 5 * MIB)
        task_id = sealward.ask("POST", f"/v1/sign/{WEB}/validate").json["task_id"]
        assert begun.wait(10)

        assert sealward.is_valid() == "true"  # what is known stands until the file has been read
        assert sealward.task(task_id)["state"] == "PENDING"
        gate.set()
        until(lambda: sealward.is_valid() == "false")
        until(lambda: sealward.task(task_id)["state"] == "SUCCESS")


def test_a_long_reading_says_how_far_it_is(tmp_path: Path) -> None:
    """GET of the task has growing bytes and what is left, no event says so, and the end of it is null."""
    (tmp_path / "far").mkdir()
    slow = Slow(tmp_path / "far", LARGE, pause=0.02)
    slow.may_read.set()
    seen: dict[int, dict[str, Any]] = {}
    try:
        with running(tmp_path / "data", settings=Settings(files="yes", wait=0.3)) as sealward:
            Place(sealward, tmp_path)
            sealward.fleet.replace(WEB, str(tmp_path / "vmlinuz"), str(slow.image))
            sealward.sign()
            (created,) = _facts(sealward, "sign.created")
            task_id = created["task_id"]

            def has_grown() -> bool:
                found = sealward.task(task_id)["progress"] or {"bytes_done": 0}
                seen.setdefault(found["bytes_done"], found)
                return len(seen) >= 4

            until(has_grown, 60)
            slow.pause = 0.0
            until(lambda: sealward.task(task_id)["state"] == "SUCCESS", 60)
            ended = sealward.task(task_id)
            types = {one["type"] for one in _facts(sealward, "sign.")}
    finally:
        slow.close()
    said = [one for done, one in seen.items() if done]

    assert list(seen) == sorted(seen)
    kernel_of_the_running_form = len(b"vmlinuz" * 1000)
    assert said[-1]["bytes_total"] == LARGE + BASE + len(b"initrd" * 1000) + kernel_of_the_running_form
    assert all(one["bytes_done"] < one["bytes_total"] for one in said)
    assert said[-1]["bytes_per_second"] > 0
    assert said[-1]["seconds_left"] > 0
    assert ended["progress"] is None
    assert types == {"sign.created", "sign.validated", "sign.sealed"}


def _facts(sealward: Running, kind: str) -> list[dict[str, Any]]:
    """Return the history of the server, of one kind."""
    history: list[dict[str, Any]] = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    return [one for one in history if one["type"].startswith(kind)]


def test_a_file_system_that_hangs_holds_up_its_own_servers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown with the reason, the others go on, and it is true again by itself when it answers."""
    monkeypatch.setattr(measurer, "ANSWER", 1.0)
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    with running(tmp_path / "data", settings=SETTINGS) as sealward:
        Place(sealward, tmp_path / "far")
        qemu_img("create", "-f", "qcow2", tmp_path / "near" / "disk", "1M")
        sealward.fleet.replace(BATCH, DISK.replace(WEB, BATCH), str(tmp_path / "near" / "disk"))
        for server_id in (WEB, BATCH):
            sealward.sign(server_id)
            until(lambda one=server_id: sealward.is_valid(one) == "true")  # type: ignore[misc]  # bound here
        sealward.action("activate")
        with hung(tmp_path / "far"):
            until(lambda: sealward.verdict()["reasons"] == ["files-unresponsive"], 30)
            assert sealward.is_valid() == "unknown"
            sealward.fleet.replace(BATCH, "</domain>", "<description>other</description></domain>")
            until(lambda: sealward.is_valid(BATCH) == "false")
            assert sealward.is_valid() == "unknown"
        until(lambda: sealward.is_valid() == "true", 30)


def test_the_firmware_of_a_node_changes_by_an_administrator_alone(tmp_path: Path) -> None:
    """First believed, then a violation with findings, accepted as looked at; a restart absorbs nothing."""
    code = tmp_path / "OVMF" / "CODE.fd"
    code.parent.mkdir()
    code.write_bytes(b"good")
    settings = dataclasses.replace(SETTINGS, firmware_dirs=(code.parent,))

    def firmware(sealward: Running) -> dict[str, Any]:
        shown: dict[str, Any] = sealward.ask("GET", "/v1/node/1").json["node"]["firmware"] or {}
        return shown

    with running(tmp_path / "data", settings=settings) as sealward:
        until(lambda: firmware(sealward).get("is_valid") == "true")
        good = firmware(sealward)["digest"]
        code.write_bytes(b"evil")
        until(lambda: firmware(sealward)["is_valid"] == "false")
    with running(tmp_path / "data", settings=settings) as sealward:
        until(lambda: firmware(sealward).get("is_valid") == "false")
        (finding,) = firmware(sealward)["findings"]
        path = "/v1/node/1/firmware"

        assert finding["xpath"] == str(code)
        assert sealward.ask("PUT", path, {"digest": good}).status == 409
        assert sealward.ask("PUT", path, {"digest": firmware(sealward)["digest"]}).status == 200
        assert firmware(sealward)["is_valid"] == "true"
        types = [one["type"] for one in sealward.ask("GET", "/v1/events?limit=1000").json["events"]]
        assert [one for one in types if "firmware" in one] == [
            "io.sealward.node.firmware-accepted",
            "io.sealward.node.firmware-changed",
            "io.sealward.node.firmware-accepted",
        ]


def test_a_tampered_file_is_false_within_a_second(tmp_path: Path) -> None:
    """No sweep is due for a minute, and libvirt has no event: the folder tells."""
    with running(tmp_path / "data", settings=Settings(files="yes")) as sealward:
        place = Place(sealward, tmp_path)
        assert sealward.sign()["is_valid"] == "true"
        time.sleep(REFRESH)  # the watch takes the folders up
        _poke(place.folder / "initrd", 10)

        assert until(lambda: sealward.is_valid() == "false") < 1
