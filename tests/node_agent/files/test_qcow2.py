"""The header of a hostile qcow2 image: a Header or a refusal, in bounded time and memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import BACKING_FORMAT, DATA_FILE, header

from sealward.node_agent.files.discovery import qcow2
from sealward.node_agent.files.refusals import ImageMalformed, ImageNameRefused

CORPUS = sorted((Path(__file__).parents[2] / "assets" / "images").glob("*.qcow2"))


def _answered(data: bytes) -> qcow2.Header | None:
    """Return the header, None when it is refused as an image; fail on anything else."""
    try:
        return _read(data)
    except (ImageMalformed, ImageNameRefused):
        return None


def _read(data: bytes) -> qcow2.Header:
    fd = os.memfd_create("image")
    try:
        os.write(fd, data)
        return qcow2.read(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("version", [2, 3])
def test_a_header_says_what_it_refers_to(version: int) -> None:
    """Size, backing file and its format, of both versions of the format."""
    data = header(name=b"base.img", extensions=((BACKING_FORMAT, b"raw"),), size=12345, version=version)

    assert _read(data) == qcow2.Header(12345, "base.img", "raw")


def test_an_unstated_format_is_told_apart() -> None:
    """A backing file without a format is what raw-probing attacks need."""
    assert _read(header(name=b"base.img")) == qcow2.Header(1 << 20, "base.img", None)
    assert _read(header(name=b"base.img", extensions=((BACKING_FORMAT, b""),))).backing_format is None


def test_an_external_data_file_is_seen() -> None:
    """Only when the feature bit says that it counts; a bit without a name is refused."""
    named = ((DATA_FILE, b"data.raw"),)

    assert _read(header(extensions=named, features=4)).data_file == "data.raw"
    assert _read(header(extensions=named)).data_file is None
    with pytest.raises(ImageMalformed):
        _read(header(features=4))


@pytest.mark.parametrize(
    "name",
    [
        b'json:{"driver":"raw"}',
        b"nbd:127.0.0.1:10809",
        b"https://example.org/base.img",
        b"fat:rw:/etc",
        b"file:/etc/shadow",
        b"base\0/../other",
        b"base\n",
        b"\xff\xfe",
    ],
)
def test_pseudo_names_are_refused(name: bytes) -> None:
    """What QEMU would not open as the file of that name is not taken for one."""
    with pytest.raises(ImageNameRefused):
        _read(header(name=name))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"QFI\xfb",
        header()[:80],
        header(version=3).replace(b"\0\0\0\x03", b"\0\0\0\x09", 1),
        header(cluster_bits=40),
        header(cluster_bits=0),
        header(features=1 << 9),
        header(header_length=3),
        header(header_length=0xFFFFFFF8),
        header(name=b"x", name_length=0xFFFFFFFF),
        header(name=b"x", name_length=1000),
        header(name=b"x", extensions=((BACKING_FORMAT, b"raw"), (BACKING_FORMAT, b"qcow2"))),
        header(name=b"x", extensions=((BACKING_FORMAT, b"raw or not"),)),
        header(extensions=tuple((7, b"") for _ in range(qcow2.MAX_EXTENSIONS + 1))),
    ],
)
def test_a_header_that_lies_is_refused(data: bytes) -> None:
    """Never guessed, never followed."""
    with pytest.raises(ImageMalformed):
        _read(data)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_a_refusal(data: bytes) -> None:
    """For all bytes after the magic, there is no other outcome."""
    found = _answered(b"QFI\xfb" + data)

    assert found is None or len(found.backing or "") <= qcow2.MAX_NAME


@given(st.data())
def test_a_good_header_with_a_few_bad_bytes_gives_a_header_or_a_refusal(data: st.DataObject) -> None:
    """The neighbourhood of real headers, where parsers break."""
    good = bytearray(header(name=b"base.img", extensions=((BACKING_FORMAT, b"raw"), (DATA_FILE, b"d"))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    found = _answered(bytes(good))

    assert found is None or len(found.backing or "") <= qcow2.MAX_NAME


@pytest.mark.alone
@pytest.mark.parametrize("image", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_costs_little(image: Path) -> None:
    """Each image that was found to be nasty is answered within 50 ms and 1 MiB."""
    data = image.read_bytes()
    tracemalloc.start()
    began = time.perf_counter()
    _answered(data)
    took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert took < 0.05
    assert peak < 1024 * 1024


def test_there_is_a_corpus() -> None:
    """The test above has something to chew on."""
    assert len(CORPUS) >= 8
