"""Roots of real files: known, read at once, read in the background; a change is seen, no change is cheap."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import until

from sealward.node_agent.files.content import contents as contents_module
from sealward.node_agent.files.content import reader, tree
from sealward.node_agent.files.content.cache import Cache, Stamp
from sealward.node_agent.files.content.contents import Contents, Terms
from sealward.node_agent.files.mounts import Mounts
from sealward.node_agent.files.refusals import (
    FileChanging,
    FileMissing,
    FilesBeingMeasured,
    FileUnreadable,
)

HOUR = 3600.0
MIB = 1024 * 1024


class Place:
    """A cache, what reads into it, and who was told to look again."""

    def __init__(self, folder: Path, reread_after: float = HOUR) -> None:
        self.folder = folder
        self.cache = Cache(folder / "files.sqlite")
        self.told: list[str] = []
        self.contents = Contents(self.cache, Mounts(self.told.append), self.told.append, reread_after)
        self.contents.start()

    def root(self, path: Path, wait: float = 5.0, newer_than: float = 0.0) -> str:
        """Ask for a root."""
        return self.contents.root(path, Terms("server", time.monotonic() + wait, newer_than))

    def close(self) -> None:
        """End."""
        self.contents.stop()
        self.cache.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Yield a place of its own."""
    one = Place(tmp_path / "node")
    yield one
    one.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the first leaf of every stretch that is read."""
    read: list[int] = []
    really = reader.stretches

    def counted(fd: int, size: int, first: int, *how: object) -> Iterator[bytes]:
        read.append(first)
        return really(fd, size, first, *how)  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setattr(reader, "stretches", counted)
    return read


def _old(path: Path, data: bytes, place: Place) -> Path:
    """Write a file that counts as left alone."""
    path.write_bytes(data)
    place.cache.put(Stamp.of(path.stat()), place.root(path), time.time())
    return path


def test_what_is_known_is_not_read_again(place: Place, tmp_path: Path, reads: list[int]) -> None:
    """One reading for any number of questions."""
    path = _old(tmp_path / "image", b"x" * 5000, place)

    assert len({place.root(path) for _ in range(3)}) == 1
    assert len(reads) == 1


def test_a_file_that_just_changed_is_read_each_time(place: Place, tmp_path: Path, reads: list[int]) -> None:
    """Within two seconds of its ctime a second change could hide behind the same stamp."""
    (tmp_path / "image").write_bytes(b"x")
    place.root(tmp_path / "image")
    place.root(tmp_path / "image")

    assert len(reads) == 2


def test_forging_mtime_does_not_hide_a_change(place: Place, tmp_path: Path) -> None:
    """Same size and same mtime, other ctime: it is read."""
    path = _old(tmp_path / "image", b"good", place)
    before, found = place.root(path), path.stat()
    path.write_bytes(b"evil")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert place.root(path) != before


def test_who_insists_gets_what_is_there_now(place: Place, tmp_path: Path, reads: list[int]) -> None:
    """Boot files are read again although their stamp says that nothing changed."""
    path = _old(tmp_path / "kernel", b"x", place)
    place.root(path, newer_than=time.time())

    assert len(reads) == 2


def test_tampering_that_leaves_the_stamp_alone_is_found_on_schedule(tmp_path: Path) -> None:
    """The known root stands until the file has been read again; then the server is to be looked at."""
    place = Place(tmp_path / "node", reread_after=0.05)
    path = tmp_path / "image"
    path.write_bytes(b"evil")
    place.cache.put(Stamp.of(path.stat()), "sealward-tree/1:good", time.time() - 1)

    assert place.root(path) == "sealward-tree/1:good"
    until(lambda: place.told == ["server"])
    assert place.root(path) != "sealward-tree/1:good"
    place.close()


def test_a_reread_that_finds_the_same_tells_nobody(tmp_path: Path, reads: list[int]) -> None:
    """Silence is no news."""
    place = Place(tmp_path / "node", reread_after=0.05)
    path = _old(tmp_path / "image", b"x", place)
    time.sleep(0.1)
    place.root(path)
    until(lambda: len(reads) == 2 and not place.contents._reads)
    place.close()  # all callers have been told when the reader has ended

    assert place.told == []


def test_a_long_read_goes_on_in_the_background(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever cannot wait is told how far it is, and again when it is done; the log says how far it gets."""
    gate = threading.Event()
    really = reader.stretches

    def slow(*args: object) -> Iterator[bytes]:
        gate.wait(10)
        return really(*args)  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setattr(reader, "stretches", slow)
    monkeypatch.setattr(reader, "STRETCH", 1)
    path = tmp_path / "image"
    path.write_bytes(b"x" * 9 * MIB)
    caplog.set_level("INFO")
    with pytest.raises(FilesBeingMeasured, match=f"0 of {9 * MIB} bytes"):
        place.root(path, 0.05)
    gate.set()
    until(lambda: place.told == ["server"])

    assert f"{4 * MIB} of {9 * MIB} bytes" in caplog.text
    assert place.root(path).startswith("sealward-tree/1:")


def test_a_short_file_goes_before_the_rest_of_a_long_one(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two stretches, the file with the fewest bytes left gets the turn."""
    monkeypatch.setattr(reader, "STRETCH", 1)
    long, short = tmp_path / "long", tmp_path / "short"
    long.write_bytes(b"x" * 60 * MIB)
    short.write_bytes(b"y")
    with pytest.raises(FilesBeingMeasured):
        place.root(long, 0.0)
    place.root(short)

    assert place.told == []
    until(lambda: place.told == ["server"])


def test_a_long_read_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[int]
) -> None:
    """The next agent goes on at the leaf at which the last one ended, and gets the same root."""
    monkeypatch.setattr(reader, "STRETCH", 1)
    monkeypatch.setattr(contents_module, "RACY", 0.01)
    path = tmp_path / "image"
    path.write_bytes(os.urandom(21 * MIB))
    whole = Place(tmp_path / "whole")
    expected = whole.root(path)
    leaves = whole.cache._leaves(expected) or b""
    whole.close()
    stamp = Stamp.of(path.stat())
    place = Place(tmp_path / "node")
    place.cache.keep_progress(stamp, 0, leaves[: tree.DIGEST])
    place.cache.keep_progress(stamp, 1, leaves[tree.DIGEST : 3 * tree.DIGEST])
    place.close()
    reads.clear()
    time.sleep(0.05)
    again = Place(tmp_path / "node")

    assert again.root(path) == expected
    assert reads[0] == 3
    assert again.cache.progress(stamp) == b""
    again.close()


def test_a_file_that_changes_while_it_is_read_is_told_apart(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no root; it is read once more, and when it changes again, that is the answer."""
    really = reader.stretches
    path = tmp_path / "image"
    path.write_bytes(b"x" * 100)

    def meanwhile(*args: object) -> Iterator[bytes]:
        for part in really(*args):  # type: ignore[arg-type]  # the same arguments
            with path.open("ab") as file:
                file.write(b"y")
            yield part

    monkeypatch.setattr(reader, "stretches", meanwhile)
    with pytest.raises(FilesBeingMeasured):
        place.root(path)
    until(lambda: place.told == ["server"])
    with pytest.raises(FileChanging, match=str(path)):
        place.root(path)
    monkeypatch.setattr(reader, "stretches", really)

    assert place.root(path).startswith("sealward-tree/1:")


def test_what_cannot_be_read_says_why(place: Place, tmp_path: Path) -> None:
    """Missing is not unreadable, and neither is a pipe, which would hang."""
    os.mkfifo(tmp_path / "fifo")
    for name, refusal in (("nothing", FileMissing), ("fifo", FileUnreadable), (".", FileUnreadable)):
        with pytest.raises(refusal, match=str(tmp_path)):
            place.root(tmp_path / name)


def test_a_read_that_fails_forgets_what_was_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not read any more does not keep a server true."""
    place = Place(tmp_path / "node", reread_after=0.05)
    path = _old(tmp_path / "image", b"x", place)

    def broken(*_: object) -> Iterator[bytes]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reader, "stretches", broken)
    time.sleep(0.1)
    place.root(path)
    until(lambda: place.told == ["server"])
    with pytest.raises(FileUnreadable, match="Input/output error"):
        place.root(path)
    place.close()


def test_a_change_has_an_offset(place: Place, tmp_path: Path) -> None:
    """The leaves of both roots are kept, over a restart too."""
    path = tmp_path / "image"
    path.write_bytes(b"x" * 13 * MIB)
    signed = place.root(path)
    with path.open("r+b") as file:
        file.seek(9 * MIB)
        file.write(b"!")
    found = place.root(path)
    again = Cache(place.folder / "files.sqlite")

    assert again.difference(signed, found) == 8 * MIB
    assert again.difference(signed, "sealward-tree/1:unheard-of") is None
    again.close()


def test_only_the_newest_leaves_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow for ever, and a file that nobody reads any more is forgotten."""
    monkeypatch.setattr("sealward.node_agent.files.content.cache.MAX_LEAVES", 64)
    cache = Cache(None)
    for number in range(4):
        cache.put_leaves(f"root{number}", bytes(32), number)
    cache.put(Stamp(1, 2, 3, 4, 5), "root1", 10.0)
    cache.tidy(unread_since=11.0)

    assert [cache._leaves(f"root{number}") is not None for number in range(4)] == [False, False, True, True]
    assert cache.known(Stamp(1, 2, 3, 4, 5)) is None
    cache.close()


def test_a_full_disk_costs_work_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that cannot write says so, and what it was told is known all the same."""
    cache = Cache(tmp_path / "files.sqlite")
    cache._database.execute("PRAGMA query_only=ON")
    cache.put(Stamp(1, 2, 3, 4, 5), "root", 10.0)

    assert cache.known(Stamp(1, 2, 3, 4, 5)) is not None
    assert "not kept" in caplog.text
    cache.close()


def test_a_broken_cache_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It holds nothing that cannot be made again: the agent starts."""
    (tmp_path / "files.sqlite").write_bytes(b"no database" * 100)
    cache = Cache(tmp_path / "files.sqlite")
    cache.put(Stamp(1, 2, 3, 4, 5), "root", 10.0)
    cache.close()
    again = Cache(tmp_path / "files.sqlite")

    assert again.known(Stamp(1, 2, 3, 4, 5)) is not None
    assert "made anew" in caplog.text
    again.close()


def test_a_file_that_takes_long_holds_up_one_server_and_no_other(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand servers on one base image do not wait one after the other."""
    gate, really = threading.Event(), reader.stretches

    def slow(*args: object) -> Iterator[bytes]:
        gate.wait(10)
        return really(*args)  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setattr(reader, "stretches", slow)
    path = tmp_path / "base"
    path.write_bytes(b"x")
    with pytest.raises(FilesBeingMeasured):
        place.root(path, 0.1)
    began = time.monotonic()
    for number in range(100):
        with pytest.raises(FilesBeingMeasured):
            place.contents.root(path, Terms(f"server{number}", time.monotonic() + 1))
    took = time.monotonic() - began
    gate.set()
    until(lambda: len(place.told) == 101)

    assert took < 1


def test_who_hurries_waits_for_no_large_file(place: Place, tmp_path: Path) -> None:
    """A sweep asks for all servers: it gets what is known, or is told to come back."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(contents_module.AT_ONCE)
    began = time.monotonic()
    with pytest.raises(FilesBeingMeasured):
        place.contents.root(tmp_path / "large", Terms("server", began + 5, hurries=True))

    assert time.monotonic() - began < 1
    until(lambda: place.told == ["server"])
