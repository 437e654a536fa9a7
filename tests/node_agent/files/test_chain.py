"""Chains of images: what qemu-img says of real ones, and nothing else than files is ever followed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import BACKING_FORMAT, DATA_FILE, header, qemu_img

from sealward.node_agent.files.discovery import chain
from sealward.node_agent.files.refusals import (
    ChainTooDeep,
    FileMissing,
    FileUnreadable,
    ImageFormatUnknown,
    ImageMalformed,
    ImageNameRefused,
)
from sealward.node_agent.measuring.not_measured import NotMeasured

ROOT = Path("/")


def _walk(path: Path, image_format: str = "qcow2") -> tuple[chain.Layer, ...]:
    return chain.walk(str(path), image_format, ROOT)


def _shown(path: Path) -> list[dict[str, object]]:
    """Return what qemu-img finds, in our words."""
    found = json.loads(qemu_img("info", "--backing-chain", "--output=json", path))
    return [
        {
            "path": one["filename"],
            "size": one["virtual-size"],
            "backing": one.get("backing-filename"),
            "format": one["format"],
        }
        for one in found
    ]


def _ours(path: Path) -> list[dict[str, object]]:
    return [
        {"path": one.path, "size": one.size, "backing": one.backing, "format": one.format}
        for one in _walk(path)
        if not one.is_data
    ]


@pytest.mark.parametrize("options", ["compat=1.1", "compat=0.10", "cluster_size=2M", "extended_l2=on"])
def test_a_real_chain_is_what_qemu_img_says(tmp_path: Path, options: str) -> None:
    """Six layers over a raw base, with names relative to each image and absolute ones."""
    base = tmp_path / "base.raw"
    qemu_img("create", "-f", "raw", base, "5M")
    (tmp_path / "sub").mkdir()
    below, image_format = base, "raw"
    for number in range(6):
        here = tmp_path / "sub" / f"layer{number}.qcow2"
        name = str(below) if number % 2 else os.path.relpath(below, here.parent)
        qemu_img(
            "create", "-f", "qcow2", "-o", options, "-b", name, "-F", image_format, here, f"{10 + number}M"
        )
        below, image_format = here, "qcow2"

    assert _ours(below) == _shown(below)
    assert len(_ours(below)) == 7
    assert [one.backing_format for one in _walk(below)] == ["qcow2"] * 5 + ["raw", None]


def test_an_external_data_file_is_a_layer(tmp_path: Path) -> None:
    """It is read as raw, beside the image whose data it holds."""
    image = tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data.raw'}", image, "4M")
    top, data = _walk(image)

    assert top.data_file == str(tmp_path / "data.raw")
    assert (data.path, data.is_data, data.depth, data.format) == (str(tmp_path / "data.raw"), True, 0, "raw")


def test_a_format_left_to_be_guessed_is_recorded_and_followed(tmp_path: Path) -> None:
    """Should QEMU be let guess, nothing below goes unseen."""
    (tmp_path / "secret").write_bytes(b"root:x:0:0")
    (tmp_path / "guest.raw").write_bytes(header(name=b"secret"))
    (tmp_path / "top").write_bytes(header(name=b"guest.raw"))
    top, guest, secret = _walk(tmp_path / "top")

    assert (top.backing_format, guest.format, guest.backing) == (chain.UNSTATED, chain.UNSTATED, "secret")
    assert secret.path == str(tmp_path / "secret")


def test_a_raw_image_is_not_looked_into(tmp_path: Path) -> None:
    """Its guest may have written a header there."""
    (tmp_path / "disk").write_bytes(header(name=b"/etc/shadow"))
    (only,) = _walk(tmp_path / "disk", "raw")

    assert (only.backing, only.format) == (None, "raw")


def test_loops_and_depths_end(tmp_path: Path) -> None:
    """An image below itself, by another name too, and more layers than libvirt follows."""
    qcow2 = ((BACKING_FORMAT, b"qcow2"),)
    (tmp_path / "a").write_bytes(header(name=b"link", extensions=qcow2))
    (tmp_path / "link").symlink_to("a")
    for number in range(chain.MAX_LAYERS + 1):
        (tmp_path / f"n{number}").write_bytes(header(name=f"n{number + 1}".encode(), extensions=qcow2))
    began = time.perf_counter()

    for name in ("a", "n0"):
        with pytest.raises(ChainTooDeep):
            _walk(tmp_path / name)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (header(name=b"nothing-there", extensions=((BACKING_FORMAT, b"raw"),)), FileMissing),
        (header(name=b"json:{}"), ImageNameRefused),
        (header(name=b"base", extensions=((BACKING_FORMAT, b"vmdk"),)), ImageFormatUnknown),
        (header(name=b"vmdk"), ImageFormatUnknown),
        (header(name=b"/dev/zero", extensions=((BACKING_FORMAT, b"raw"),)), FileUnreadable),
        (header(name=b"fifo", extensions=((BACKING_FORMAT, b"raw"),)), FileUnreadable),
        (header(name=b".", extensions=((BACKING_FORMAT, b"raw"),)), FileUnreadable),
        (header(name=b"base", extensions=((BACKING_FORMAT, b"qcow2"),)), ImageMalformed),
        (header(features=4, extensions=((DATA_FILE, b"nbd:unix:/x"),)), ImageNameRefused),
    ],
)
def test_what_is_not_followed_is_refused_by_name(
    tmp_path: Path, content: bytes, refusal: type[NotMeasured]
) -> None:
    """Devices and pipes that would hang included; the refusal says at which file."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "base").write_bytes(b"no header")
    (tmp_path / "vmdk").write_bytes(b"KDMV" + bytes(508))
    (tmp_path / "top").write_bytes(content)

    with pytest.raises(refusal, match=str(tmp_path) + "|/dev/zero"):
        _walk(tmp_path / "top")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=1000)
@given(
    names=st.lists(st.sampled_from(["a", "b", "c", "./a", "../x", "/", "nbd:x", "d"]), min_size=4, max_size=4)
)
def test_any_tangle_of_images_ends(tmp_path: Path, names: list[str]) -> None:
    """For all references among four images: layers or a refusal."""
    for file, name in zip("abcd", names, strict=True):
        (tmp_path / file).write_bytes(header(name=name.encode(), extensions=((BACKING_FORMAT, b"qcow2"),)))
    with pytest.raises(NotMeasured):  # no image among these is a last one
        _walk(tmp_path / "a")


def test_paths_are_looked_up_below_a_root(tmp_path: Path) -> None:
    """For an agent that sees the node's files elsewhere."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "base").write_bytes(b"x" * 512)
    (tmp_path / "images" / "top").write_bytes(header(name=b"base", extensions=((BACKING_FORMAT, b"raw"),)))

    assert [one.path for one in chain.walk("/images/top", "qcow2", tmp_path)] == [
        "/images/top",
        "/images/base",
    ]
    with pytest.raises(FileUnreadable):
        chain.walk("images/top", "qcow2", tmp_path)


def test_a_chain_that_the_xml_declares_is_followed(tmp_path: Path) -> None:
    """QEMU opens the file in <backingStore>, not the file in the header; an empty element ends the chain."""
    for name in ("good", "evil"):
        (tmp_path / name).write_bytes(name.encode() * 512)
    (tmp_path / "top").write_bytes(header(name=b"good", extensions=((BACKING_FORMAT, b"raw"),)))
    top, good, evil = (str(tmp_path / name) for name in ("top", "good", "evil"))

    def walked(*layers: tuple[str, str], is_whole: bool = False) -> list[tuple[str, str]]:
        found = chain.walk(top, "qcow2", ROOT, chain.Declared(layers, is_whole))
        return [(one.path, one.format) for one in found[1:]]

    assert walked() == walked((good, "raw")) == walked((f"{tmp_path}/./good", "raw"), is_whole=True)
    assert walked((evil, "raw")) == [(evil, "raw")]
    assert walked(is_whole=True) == []


def test_a_declared_format_does_not_hide_that_the_header_has_none(tmp_path: Path) -> None:
    """The running form states what libvirt found out; persistent and running form stay equal."""
    (tmp_path / "base").write_bytes(b"x" * 512)
    (tmp_path / "top").write_bytes(header(name=b"base"))
    declared = chain.Declared(((str(tmp_path / "base"), "raw"),), is_whole=True)

    assert chain.walk(str(tmp_path / "top"), "qcow2", ROOT, declared) == _walk(tmp_path / "top")
