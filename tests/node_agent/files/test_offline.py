"""The start gate measures as the agent does, and never waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from sealward.node_agent.files import offline
from sealward.node_agent.files.content.cache import Cache, Stamp
from sealward.node_agent.files.content.remembered import Remembered
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.files.refusals import FileMissing, FilesBeingMeasured
from sealward.node_agent.measuring import canonical

MIB = 1024 * 1024


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    """Yield an empty cache."""
    one = Cache(tmp_path / "files.sqlite")
    yield one
    one.close()


@pytest.fixture
def remembered(tmp_path: Path) -> Remembered:
    """Return what the gate reads of it; where there is no cache, there is nothing to read."""
    return Remembered(str(tmp_path / "files.sqlite"))


def _domain(kernel: Path, iso: Path) -> etree._Element:
    disk = f"<disk device='cdrom'><source file='{iso}'/><target dev='sda'/></disk>"
    return canonical.parse(f"<domain><os><kernel>{kernel}</kernel></os><devices>{disk}</devices></domain>")


def _measured(remembered: Remembered, domain: etree._Element, seconds: float = 1.0) -> bytes:
    return canonical.canonical_bytes(offline.files(remembered, time.monotonic() + seconds)(domain))


def test_the_gate_finds_what_the_agent_finds(remembered: Remembered, tmp_path: Path) -> None:
    """Byte for byte, where there is no cache, too."""
    (tmp_path / "kernel").write_bytes(b"k" * 5 * MIB)
    (tmp_path / "iso").write_bytes(bytes(6 * MIB) + b"i" * MIB)
    domain = _domain(tmp_path / "kernel", tmp_path / "iso")
    agent = FileMeasurer(Cache(None), lambda _: None, 3600.0)
    agent.start()
    found = canonical.canonical_bytes(agent.look("server", "QEMU", fresh=True)(domain))
    agent.stop()

    assert _measured(remembered, domain) == found


def test_a_boot_file_is_read_whatever_is_known_and_an_image_is_not(
    cache: Cache, remembered: Remembered, tmp_path: Path
) -> None:
    """Of the image counts what the agent knew."""
    for name in ("kernel", "iso"):
        (tmp_path / name).write_bytes(b"x")
        cache.put(Stamp.of((tmp_path / name).stat()), "sealward-tree/1:known", time.time())
    found = _measured(remembered, _domain(tmp_path / "kernel", tmp_path / "iso")).decode()

    assert 'content="sealward-tree/1:known" format="raw"' in found
    assert found.count("known") == 1


def test_what_there_is_no_time_for_is_unread_and_nothing_else_is(
    remembered: Remembered, tmp_path: Path
) -> None:
    """What is missing is missing; holes take no time."""
    (tmp_path / "kernel").write_bytes(b"k")
    with (tmp_path / "iso").open("wb") as file:
        file.truncate(2**40 + 12345)
    domain = _domain(tmp_path / "kernel", tmp_path / "iso")
    late = _measured(remembered, domain, -1.0).decode()
    missing = _measured(remembered, _domain(tmp_path / "nothing", tmp_path / "iso")).decode()

    assert "unread" not in _measured(remembered, domain).decode()
    assert f'unread="{FilesBeingMeasured.code}"' in late
    assert "content=" in late  # of holes there is nothing to be read
    assert f'unread="{FileMissing.code}"' in missing
    assert missing.count("unread=") == 1


def test_what_was_known_of_a_file_that_changed_is_not_believed(
    cache: Cache, remembered: Remembered, tmp_path: Path
) -> None:
    """Nor anything out of a file that is no cache."""
    image = tmp_path / "image"
    image.write_bytes(b"x")
    before = Stamp.of(image.stat())
    cache.put(before, "sealward-tree/1:known", time.time())
    known = remembered.known(before)
    image.write_bytes(b"other")
    (tmp_path / "broken").write_bytes(b"no database" * 100)

    assert known is not None
    assert known.root == "sealward-tree/1:known"
    assert remembered.known(Stamp.of(image.stat())) is None
    assert Remembered(str(tmp_path / "broken")).known(before) is None
