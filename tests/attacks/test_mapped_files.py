"""A process that has mapped a boot file changes it without another stamp: the server does not start."""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import WEB

from sealward.node_agent.files import offline
from sealward.node_agent.files.content.cache import RACY, Cache
from sealward.node_agent.files.content.contents import Contents, Terms
from sealward.node_agent.files.mounts import Mounts
from sealward.node_agent.gate import hook
from sealward.node_agent.gate.record import Line, Record, Stamp

NAME = "instance-00000068"
EVIL = b"evil"
GOOD = b"good"


class Node:
    """A hook whose agent is played by the test, and a boot file."""

    def __init__(self, folder: Path) -> None:
        self.data, self.incoming = folder / "node", folder / "in"
        hook.install(folder / "hooks", self.data, self.data / "gate.sock", self.incoming)
        self.place = folder / "hooks" / "qemu.d" / "sealward"
        self.image = folder / "initrd"
        self.image.write_bytes(GOOD * 1024)
        self.record = ""

    def read(self, *, refuses: bool) -> str:
        """Return the record of a gate that reads the file now."""
        path = os.fsencode(self.image)
        line = Line(Stamp.of("file", self.image.stat()), str(offline.root_of(path)), path)
        return str(Record([line], WEB, refuses=refuses))

    def run(self, operation: str) -> tuple[int, str]:
        """Run the hook as libvirt does."""
        ran = subprocess.run(  # noqa: S603 - our own script
            [str(self.place), NAME, operation, "begin", "-"],
            input=f"<domain><name>{NAME}</name><uuid>{WEB}</uuid></domain>",
            capture_output=True,
            text=True,
            check=False,
            timeout=15,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": "/"},
        )
        return ran.returncode, ran.stderr

    def reports(self) -> list[str]:
        """Return the objections that were left."""
        return [one.read_text() for one in sorted((self.data / "spool").glob("*.json"))]


@contextlib.contextmanager
def agent(node: Node, record: Callable[[], str], end: str = "\0") -> Iterator[None]:
    """Answer one question of the hook: it may start, and this was read."""
    import socket  # noqa: PLC0415 - here alone

    node.data.mkdir(exist_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    place = node.data / "gate.sock"
    place.unlink(missing_ok=True)
    listening.bind(str(place))
    listening.listen()

    def answer() -> None:
        asking, _ = listening.accept()
        with asking:
            while asking.recv(65536):
                pass
            asking.sendall(f"allow\n\0{record()}{end}".encode())

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(5)
        listening.close()


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file for writing, with its first page changed to what it was."""
    with path.open("r+b") as file:
        view = mmap.mmap(file.fileno(), 0)
    view[:4] = view[:4]
    time.sleep(0.02)
    with contextlib.closing(view):
        yield view


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return one."""
    return Node(tmp_path)


def test_a_store_to_a_mapped_page_leaves_the_stamp_as_it_is(node: Node) -> None:
    """The fact behind the rule."""
    with mapped(node.image) as view:
        before = Stamp.of("file", node.image.stat())
        view[:4] = EVIL
        assert node.image.read_bytes()[:4] == EVIL
        assert Stamp.of("file", node.image.stat()).words == before.words


@pytest.mark.parametrize(("refuses", "status"), [(True, 1), (False, 0)])
def test_what_somebody_has_mapped_for_writing_does_not_start(node: Node, refuses: bool, status: int) -> None:  # noqa: FBT001 - a parameter
    """The gate has read the good content, and the evil one would run."""
    with mapped(node.image) as view:
        with agent(node, lambda: node.read(refuses=refuses)):
            found, said = node.run("prepare")
        view[:4] = EVIL

    assert found == status
    assert "open for writing" in said
    (report,) = node.reports()
    assert '"reason":"file-not-compared"' in report
    assert f'"refused":{str(refuses).lower()}' in report


def test_what_somebody_has_opened_since_does_not_go_on(node: Node) -> None:
    """The stamp is the same, and nobody knows what has run."""
    with agent(node, lambda: node.read(refuses=True)):
        assert node.run("prepare") == (0, "")
    with node.image.open("r+b"):
        status, said = node.run("started")

    assert status == 1
    assert "open for writing" in said
    assert '"reason":"file-replaced"' in node.reports()[0]


def test_another_content_under_the_same_stamp_does_not_go_on(node: Node) -> None:
    """It was stored through a mapping that was gone when the gate looked who writes."""
    with mapped(node.image) as view:
        record = node.read(refuses=True)
        view[:4] = EVIL
    with agent(node, lambda: record):
        assert node.run("prepare") == (0, "")

    assert node.run("started")[0] == 1


def test_what_is_read_alone_starts_and_goes_on(node: Node) -> None:
    """Readers and mappings for reading are nothing."""
    with node.image.open("rb") as file, contextlib.closing(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)):
        with agent(node, lambda: node.read(refuses=True)):
            assert node.run("prepare") == (0, "")
        assert node.run("started") == (0, "")
    assert not list((node.incoming / "read").iterdir())


@pytest.mark.parametrize("end", ["", "\n"])
def test_half_an_answer_is_none(node: Node, end: str) -> None:
    """An agent that dies as it speaks has not said all that it has read; the hook decides alone."""
    node.data.mkdir(exist_ok=True)
    (node.data / "gate.policy").write_text(f"sealward-gate/1\nnode refuse allow\n{WEB} refuse\n")
    with agent(node, lambda: node.read(refuses=True), end):
        status, said = node.run("prepare")

    assert status == 1
    assert "ledger cannot be read" in said


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """Yield a folder on a disk: in a file system in memory a store gives no stamp, whatever is done."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/var/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_store_that_follows_the_agents_reading_is_seen(on_disk: Path, megabytes: int) -> None:
    """The page was dirty when it was read: it has been written first, so the store gives another stamp."""
    image = on_disk / "base.raw"
    image.write_bytes(os.urandom(1024) * 1024 * megabytes)
    contents = Contents(Cache(None), Mounts(lambda _: None), lambda _: None, 86400)
    contents.start()

    def root() -> str:
        return contents.root(image, Terms(WEB, time.monotonic() + 30))

    try:
        with mapped(image) as view:
            time.sleep(RACY + 0.5)
            before = root()
            view[:4] = EVIL
            assert root() != before
        assert root() != before
    finally:
        contents.stop()
