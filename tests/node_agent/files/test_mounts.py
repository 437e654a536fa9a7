"""A file system that hangs holds up one visit, is touched by no other, and is asked again when it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuse import Slow, hung
from lxml import etree
from running import until

from sealward.node_agent.files import measurer, mounts
from sealward.node_agent.files.content import contents
from sealward.node_agent.files.content.cache import Cache
from sealward.node_agent.files.firmware import Firmware
from sealward.node_agent.files.measurer import NO_SERVER, FileMeasurer
from sealward.node_agent.files.mounts import Mounts, _mounts
from sealward.node_agent.files.refusals import (
    FilesBeingMeasured,
    FilesUnresponsive,
    FileUnreadable,
    refusal,
)
from sealward.node_agent.ledger.ledger import Ledger

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after two seconds instead of four, and a reading after two instead of ten."""
    monkeypatch.setattr(measurer, "ANSWER", 2.0)
    monkeypatch.setattr(contents, "UNREAD", 2.0)


class Node:
    """A measurer with two folders: one for what hangs, one beside it."""

    def __init__(self, folder: Path) -> None:
        self.far, self.near = folder / "far", folder / "near"
        for one in (self.far, self.near):
            one.mkdir()
            (one / "kernel").write_bytes(b"kernel")
        self.told: list[str] = []
        self.files = FileMeasurer(Cache(None), self.told.append, 3600.0, patience=0.2)
        self.files.start()

    def look(self, server_id: str, path: Path) -> str:
        """Measure a server with that kernel; return its root."""
        domain = etree.fromstring(f"<domain><os><kernel>{path}</kernel></os></domain>")
        files = self.files.look(server_id, "QEMU", fresh=True)(domain)
        codes = [one.attrib["unread"] for one in files if "unread" in one.attrib]
        if codes or "reason" in files.attrib:
            raise refusal(codes or [files.attrib["reason"]])
        return next(iter(files)).attrib["content"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Yield a node whose files can be measured."""
    one = Node(tmp_path)
    yield one
    one.files.stop()


def _visits() -> int:
    return sum(thread.name.startswith("files-visit") for thread in threading.enumerate())


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(FilesUnresponsive):
        call()
    return time.monotonic() - began


def _refusal(node: Node, server_id: str) -> float:
    return _seconds(lambda: node.look(server_id, node.far / "kernel"))


def test_what_hangs_holds_up_one_look_and_nobody_else(node: Node) -> None:
    """The second server there is refused without a thread, others go on; when it is over, both are told."""
    good = node.look("one", node.far / "kernel")
    with hung(node.far):
        _seconds(lambda: node.look("one", node.far / "kernel"))
        before = _visits()
        took = [_refusal(node, f"two-{number}") for number in range(20)]
        beside = node.look("three", node.near / "kernel")
        node.told.clear()

        assert min(took) < 1  # nobody waits for a deadline
        assert _visits() <= before + 2  # one for those beside, one for what watches folders
    until(lambda: {"one", "two-0", "two-19"} <= set(node.told))

    assert beside == good
    assert "three" not in node.told
    assert node.look("one", node.far / "kernel") == good


def test_a_link_to_what_hangs_is_no_way_around(node: Node, tmp_path: Path) -> None:
    """The mount is to blame that a path leads to, and not the one that the link lies on."""
    (tmp_path / "link").symlink_to("far")
    with hung(node.far):
        _seconds(lambda: node.look("one", tmp_path / "link" / "kernel"))

        assert min(_refusal(node, "two") for _ in range(5)) < 1
        assert node.look("three", node.near / "kernel")


def test_a_read_that_hangs_is_given_up(node: Node) -> None:
    """Opening works, the bytes never come: other files are read meanwhile, and it goes on when they come."""
    slow = Slow(node.far, 9 * MIB)
    try:
        with pytest.raises(FilesBeingMeasured):
            node.look("one", slow.image)
        assert slow.asked.wait(10)
        until(lambda: "one" in node.told)
        _seconds(lambda: node.look("one", slow.image))
        assert node.look("two", node.near / "kernel")
        node.told.clear()
        slow.may_read.set()
        until(lambda: "one" in node.told)
        until(lambda: _root(node, slow.image) is not None)
    finally:
        slow.close()


def _root(node: Node, path: Path) -> str | None:
    try:
        return node.look("one", path)
    except FilesBeingMeasured:
        return None


def test_a_device_that_goes_away_under_a_look_is_a_file_that_cannot_be_read(node: Node) -> None:
    """What hung and then fails says why."""
    with hung(node.far):
        _seconds(lambda: node.look("one", node.far / "kernel"))
        node.told.clear()
    until(lambda: "one" in node.told)
    (node.far / "kernel").unlink()
    (node.far / "kernel").mkdir()

    with pytest.raises(FileUnreadable):
        node.look("one", node.far / "kernel")


def test_firmware_that_hangs_is_no_news(node: Node, tmp_path: Path) -> None:
    """Neither a change nor a reason to hold up the agent; it is measured when its file system is back."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    firmware = Firmware([node.far], node.files, ledger)
    with hung(node.far):
        assert firmware.measure() is None
        assert firmware.measure() is None
        node.told.clear()
    until(lambda: NO_SERVER in node.told)
    until(lambda: firmware.measure() is not None)

    assert list(firmware.measure() or ()) == [str(node.far / "kernel")]
    ledger.close()


def test_a_visit_that_goes_on_and_on_rests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who answers drop by drop is given up, too, and not asked again at once."""
    monkeypatch.setattr(mounts, "REST", 3.0)
    told: list[str] = []
    one = Mounts(told.append)

    def crawl() -> None:
        for _ in range(200):
            one.enter(tmp_path)
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(FilesUnresponsive):
        one.visit("one", lambda _: crawl(), idle=60.0, whole=0.3)
    assert time.monotonic() - began < 8
    with pytest.raises(FilesUnresponsive):
        one.visit("two", lambda _: one.enter(tmp_path))
    until(lambda: {"one", "two"} <= set(told))
    one.visit("two", lambda _: one.enter(tmp_path))
    one.close()


def test_what_a_visit_raises_is_raised() -> None:
    """A time-out of the file system's own is none of the visit."""
    one = Mounts(lambda _: None)

    def times_out() -> None:
        raise TimeoutError("NFS, mounted soft")

    with pytest.raises(TimeoutError, match="soft"):
        one.visit("one", lambda _: times_out())
    one.close()


def test_the_table_of_mounts_is_read_as_the_kernel_writes_it() -> None:
    """Blanks are escaped; where two are stacked, the last is on top."""
    table = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "36 21 0:32 / /mnt/my\\040images rw shared:5 - nfs4 nas:/ rw\n"
        "37 21 0:33 / /mnt/my\\040images rw - fuse x rw\n"
    )

    assert _mounts(table) == {"/": (21, "/"), "/mnt/my images": (37, "/mnt/my images")}
