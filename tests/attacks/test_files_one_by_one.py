"""Each file is judged by itself: no other file, missing, slow or hung, hides that one was changed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fuse import hung
from images import qemu_img
from running import WEB, Running, running, until

from sealward.node_agent.files import measurer, offline
from sealward.node_agent.files.content import reader
from sealward.node_agent.files.content.cache import Cache
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.measuring import canonical
from sealward.node_agent.validation import measurer as server_measurer
from sealward.settings import Settings

DISK = f"/var/lib/nova/instances/{WEB}/disk"
MIB = 1024 * 1024
SETTINGS = Settings(files="yes", sweep_interval=0.2)


class Server:
    """A signed server with a kernel, a disk on a base image, and an ISO in a folder of its own."""

    def __init__(self, sealward: Running, folder: Path) -> None:
        self.sealward = sealward
        self.kernel, self.base, self.disk = (folder / name for name in ("vmlinuz", "base.raw", "disk"))
        self.iso = folder / "far" / "seed.iso"
        self.iso.parent.mkdir()
        self.kernel.write_bytes(b"kernel" * 1000)
        self.iso.write_bytes(b"iso" * 1000)
        qemu_img("create", "-f", "raw", self.base, "9M")
        qemu_img("create", "-f", "qcow2", "-b", self.base, "-F", "raw", self.disk)
        cdrom = f"<disk type='file' device='cdrom'><source file='{self.iso}'/><target dev='sdz'/></disk>"
        fleet = sealward.fleet
        fleet.replace(WEB, DISK, str(self.disk))
        fleet.replace(WEB, "</os>", f"<kernel>{self.kernel}</kernel></os>")
        fleet.replace(WEB, "</devices>", f"{cdrom}</devices>")
        fleet.stop(WEB)
        fleet.start(WEB)
        sealward.sign()
        sealward.action("activate")
        until(lambda: sealward.is_valid() == "true")

    def change_kernel(self) -> None:
        """Put an evil kernel in the place of the signed one."""
        self.kernel.write_bytes(b"evil!!" * 1000)

    def findings(self) -> set[str]:
        """Wait until the server is false; return which files are named."""
        until(lambda: self.sealward.is_valid() == "false", 20)
        found: list[dict[str, Any]] = self.sealward.verdict()["findings"]
        return {one["xpath"].partition('"]')[0].partition('"')[2] for one in found}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Yield a signed server that is true."""
    with running(tmp_path / "data", settings=SETTINGS) as sealward:
        yield Server(sealward, tmp_path)


@contextlib.contextmanager
def never_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the reading of one file last for as long as this."""
    gate, really = threading.Event(), reader.stretches

    def slow(fd: int, *rest: Any) -> Iterator[bytes]:  # noqa: ANN401 - the same arguments
        if Path(f"/proc/self/fd/{fd}").resolve() == path:
            gate.wait(30)
        return really(fd, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(reader, "stretches", slow)
        try:
            yield
        finally:
            gate.set()


def test_a_removed_iso_hides_no_changed_kernel(server: Server) -> None:
    """Whichever comes first: the verdict is false, and not unknown because a file is missing."""
    server.iso.unlink()
    until(lambda: server.sealward.verdict()["reasons"] == ["file-missing"])
    server.change_kernel()

    assert str(server.kernel) in server.findings()


def test_an_unreadable_iso_hides_no_changed_base_image(server: Server) -> None:
    """A folder in its place, a loop of links, a pipe: none of them can be read."""
    server.iso.unlink()
    server.iso.mkdir()
    until(lambda: server.sealward.verdict()["reasons"] == ["file-unreadable"])
    with server.base.open("r+b") as file:
        file.write(b"evil")

    assert str(server.base) in server.findings()


def test_a_hung_file_system_hides_no_changed_kernel(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ISO's file system never answers; all else is measured in the same look."""
    monkeypatch.setattr(measurer, "ANSWER", 1.0)
    with hung(server.iso.parent):
        until(lambda: server.sealward.verdict()["reasons"] == ["files-unresponsive"], 30)
        server.change_kernel()

        assert str(server.kernel) in server.findings()


def test_an_iso_that_is_being_measured_hides_no_changed_kernel(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False at once: the reading of the ISO never ends."""
    with never_read(server.iso, monkeypatch):
        server.iso.touch()
        server.change_kernel()

        assert str(server.kernel) in server.findings()


def _again_and_again(touch: Callable[[], None], until_: threading.Event) -> threading.Thread:
    def go_on() -> None:
        while not until_.wait(0.05):
            touch()

    thread = threading.Thread(target=go_on)
    thread.start()
    return thread


@pytest.mark.parametrize("what", ["touched", "changed"])
def test_files_that_change_again_and_again_keep_no_true(
    server: Server, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A true does not outlive the time that files get to be measured, and names the reason."""
    monkeypatch.setattr(server_measurer, "UNMEASURED_FOR", 1.0)
    really = reader.stretches

    def slow(fd: int, *rest: Any) -> Iterator[bytes]:  # noqa: ANN401 - the same arguments
        time.sleep(0.3)
        return really(fd, *rest)

    monkeypatch.setattr(reader, "stretches", slow)
    is_over = threading.Event()
    content = b"iso" * 1000

    def touch() -> None:
        server.iso.touch() if what == "touched" else server.iso.write_bytes(content[:-1])

    thread = _again_and_again(touch, is_over)
    try:
        until(lambda: server.sealward.is_valid() != "true", 20)
        (reason,) = server.sealward.verdict()["reasons"]
        proven = {"measurement-differs"} if what == "changed" else set()
        assert reason in {"files-being-measured", "file-changing"} | proven
    finally:
        is_over.set()
        thread.join()
    server.iso.write_bytes(content)
    until(lambda: server.sealward.is_valid() == "true", 20)


def test_many_files_that_are_being_measured_keep_no_true(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long reading takes, the true ends; and it is true again when all has been read."""
    monkeypatch.setattr(server_measurer, "UNMEASURED_FOR", 1.0)
    with never_read(server.base, monkeypatch):
        server.base.touch()
        until(lambda: server.sealward.verdict()["reasons"] == ["files-being-measured"], 20)
        assert server.sealward.is_valid() == "unknown"
    until(lambda: server.sealward.is_valid() == "true", 20)


def test_a_file_that_says_it_is_huge_costs_the_agent_what_its_data_costs(tmp_path: Path) -> None:
    """The leaves of such a file are not kept; it has the root that it has as every other file."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"kernel" * 1000)
    os.truncate(kernel, 2**43 + 12345)
    domain = canonical.parse(f"<domain><os><kernel>{kernel}</kernel></os></domain>")
    one = FileMeasurer(Cache(None), lambda _: None, 3600.0)
    one.start()
    tracemalloc.start()
    began = time.monotonic()
    try:
        (found,) = one.look("server", "QEMU", fresh=True)(domain)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        one.stop()

    assert time.monotonic() - began < 5
    assert most < 10 * MIB
    assert found.attrib["content"] == offline.root_of(os.fsencode(kernel))
