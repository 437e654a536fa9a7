"""A boot file that was padded, hidden or made slow to read is read or refused, and never taken as signed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from images import qemu_img
from running import WEB, Running, running, until

from sealward.node_agent.gate import hook
from sealward.node_agent.gate.decision import with_files
from sealward.settings import Settings

pytestmark = pytest.mark.heavy

DISK = f"/var/lib/nova/instances/{WEB}/disk'"
MIB = 1024 * 1024
EVIL = b"evil" * 1000


def _hole(path: Path) -> None:
    path.write_bytes(EVIL)
    os.truncate(path, 65 * MIB)


def _huge(path: Path) -> None:
    path.write_bytes(EVIL)
    size = 2**62
    while True:  # as large as the file system lets it be
        try:
            os.truncate(path, size)
        except OSError:
            size //= 2
        else:
            return


def _many_extents(path: Path) -> None:
    with path.open("wb") as file:
        for offset in range(0, 4096 * MIB, 4 * MIB):
            os.pwrite(file.fileno(), EVIL, offset)


def _dense(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(70):
            file.write(os.urandom(MIB))


def _trailing(path: Path) -> None:
    with path.open("ab") as file:
        file.write(EVIL)


def _hole_in_the_middle(path: Path) -> None:
    content = path.read_bytes()
    with path.open("wb") as file:
        os.pwrite(file.fileno(), content[: 4 * MIB], 0)
        os.pwrite(file.fileno(), content[5 * MIB :], 5 * MIB)


def _replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DIFFERS, UNREAD = "measurement-differs", "file-not-compared"
EITHER = f"{DIFFERS} {UNREAD}"
WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a hole of 65 MB": (_hole, DIFFERS),
    "as large as can be": (_huge, EITHER),
    "a thousand small extents": (_many_extents, EITHER),
    "70 MB of noise": (_dense, EITHER),
    "something behind": (_trailing, DIFFERS),
    "a hole in the middle": (_hole_in_the_middle, DIFFERS),
    "missing": (Path.unlink, UNREAD),
    "a pipe": (_replaced(os.mkfifo), UNREAD),
    "a folder": (_replaced(Path.mkdir), UNREAD),
    "a device": (_replaced(lambda path: path.symlink_to("/dev/zero")), UNREAD),
    "a loop of links": (_replaced(lambda path: path.symlink_to(path)), UNREAD),
    "a link to another file": (_replaced(lambda path: path.symlink_to("/etc/passwd")), DIFFERS),
    "empty": (_replaced(Path.touch), DIFFERS),
}


class Gated:
    """A signed server with a kernel, an initrd and an ISO, on a node that refuses, and the hook."""

    def __init__(self, sealward: Running, folder: Path) -> None:
        self.sealward, self.folder = sealward, folder
        self.known: set[str] = set()
        """The objections that a test has looked at."""
        node = folder / "sw" / "node"
        self.place = hook.install(folder / "hooks", node, node / "gate.sock", folder / "in")
        self.kernel, self.initrd, self.iso = (folder / name for name in ("vmlinuz", "initrd", "seed.iso"))
        for one in (self.kernel, self.initrd, self.iso):
            one.write_bytes(one.name.encode() * MIB)
        qemu_img("create", "-f", "qcow2", folder / "disk", "1M")
        boot = f"<kernel>{self.kernel}</kernel><initrd>{self.initrd}</initrd></os>"
        cdrom = f"<disk type='file' device='cdrom'><source file='{self.iso}'/><target dev='sdz'/></disk>"
        fleet = sealward.fleet
        fleet.replace(WEB, DISK, f"{folder / 'disk'}'")
        fleet.replace(WEB, "</os>", boot)
        fleet.replace(WEB, "</devices>", f"{cdrom}</devices>")
        fleet.stop(WEB)
        fleet.start(WEB)
        sealward.sign()
        until(lambda: sealward.is_valid() == "true")
        self.set("refuse")
        self.xml = fleet.xml(WEB)

    def set(self, on_start: str) -> None:
        """Set the policy and wait until the node has it."""
        answer = self.sealward.ask("PUT", "/v1/node/1/policy", {"on_start": on_start})
        position = answer.json["policy"]["position"]
        until(lambda: self.sealward.embedded.agent.policies.of(WEB).set_by == position)

    def announce(self) -> None:
        """Have the next start be that of a server which libvirt restores."""
        words = ["instance-00000068", "restore", "begin", "-"]
        subprocess.run([self.place, *words], input=b"", check=True, timeout=10)  # noqa: S603 - our own script

    def start(self) -> subprocess.CompletedProcess[str]:
        """Run the hook as libvirt does."""
        return subprocess.run(  # noqa: S603 - our own script
            [self.place, "instance-00000068", "prepare", "begin", "-"],
            input=self.xml,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": "/"},
        )

    def events(self, topic: str) -> list[dict[str, Any]]:
        """Return the objections that are recorded."""
        answer = self.sealward.ask("GET", f"/v1/events?type={topic}")
        return [one["data"] for one in answer.json["events"]]


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """Yield it; nobody looks at its files but the gate."""
    with running(tmp_path / "sw", settings=Settings(files="yes")) as sealward:
        yield Gated(sealward, tmp_path)


@pytest.mark.parametrize("with_agent", [True, False])
def test_an_evil_initrd_is_read_or_refused(gated: Gated, *, with_agent: bool) -> None:
    """In every way that it can be made hard to read; and what was signed starts again."""
    good = gated.initrd.read_bytes()
    assert gated.start().returncode == 0
    if not with_agent:
        gated.sealward.embedded.agent.stop()
    for name, (tamper, reasons) in WAYS.items():
        tamper(gated.initrd)
        done = gated.start()
        (report,) = _reports(gated, with_agent=with_agent)

        assert done.returncode == 1, name
        assert str(gated.initrd) in done.stderr, name
        assert report["reason"] in reasons.split(), name
        assert any(str(gated.initrd) in one["xpath"] for one in report["findings"]), name
        if gated.initrd.is_dir() and not gated.initrd.is_symlink():
            gated.initrd.rmdir()
        gated.initrd.unlink(missing_ok=True)
        gated.initrd.write_bytes(good)
    assert gated.start().returncode == 0, gated.start().stderr


def _reports(gated: Gated, *, with_agent: bool) -> list[dict[str, Any]]:
    """Return the objections that came since the last call."""
    known = gated.known
    if with_agent:
        until(lambda: len(gated.events("start.refused")) > len(known))
        new = [one for one in gated.events("start.refused") if one["objection_id"] not in known]
        known |= {one["objection_id"] for one in new}
        return new
    files = [one for one in (gated.folder / "sw/node/spool").glob("*.json") if one.name not in known]
    known |= {one.name for one in files}
    return [json.loads(one.read_text()) for one in files]


def test_a_file_that_could_not_be_compared_hides_no_changed_one(gated: Gated) -> None:
    """The ISO is missing and the kernel is another: the objection is the difference."""
    gated.iso.unlink()
    gated.kernel.write_bytes(EVIL)

    assert gated.start().returncode == 1
    until(lambda: bool(gated.events("start.refused")))
    (event,) = gated.events("start.refused")
    assert event["reason"] == DIFFERS
    assert any(str(gated.kernel) in one["xpath"] for one in event["findings"])


@pytest.mark.parametrize("with_agent", [True, False])
def test_a_server_that_is_restored_is_read_as_well(gated: Gated, *, with_agent: bool) -> None:
    """Its running form counts then: an evil initrd, or one that cannot be read, keeps it from going on."""
    if not with_agent:
        gated.sealward.embedded.agent.stop()
    gated.announce()
    assert gated.start().returncode == 0
    for tamper in (_hole, Path.unlink):
        tamper(gated.initrd)
        gated.announce()
        done = gated.start()

        assert done.returncode == 1
        assert str(gated.initrd) in done.stderr


def test_what_there_is_no_time_for_is_an_event_under_observe_and_is_read_for_the_next_start(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start passes and the event names the file; the agent reads it, and then it is compared."""
    gated.set("observe")
    gated.iso.touch()  # what was known of it counts no more
    with monkeypatch.context() as patch:
        patch.setattr(with_files, "FILES_TIME", -1.0)
        assert gated.start().returncode == 0
    until(lambda: bool(gated.events("start.tolerated")))
    (event,) = gated.events("start.tolerated")

    assert event["reason"] == UNREAD
    assert any(str(gated.iso) in one["xpath"] for one in event["findings"])
    assert all("files-being-measured" in one["found"] for one in event["findings"])
    gated.set("refuse")
    until(lambda: gated.start().returncode == 0)


@pytest.mark.parametrize("name", ["read", "unsaid", "coming"])
def test_the_name_of_a_restored_server_hinders_no_other(gated: Gated, name: str) -> None:
    """The gate keeps folders of these names beside its marks: a mark must not lie in a folder's place."""
    subprocess.run([gated.place, name, "restore", "begin", "-"], input=b"", check=True, timeout=10)  # noqa: S603

    started = gated.start()

    assert (started.returncode, started.stderr) == (0, "")
