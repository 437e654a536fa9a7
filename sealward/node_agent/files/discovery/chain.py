"""Follows a disk from its image through all layers below it, by the headers of the images.

libvirt's persistent XML does not show the chain, and the running form shows the chain as libvirt probed it
once (libvirt 9.0, observed). The content of a raw image is never interpreted: a guest can write any header
there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files.discovery import qcow2
from sealward.node_agent.files.refusals import (
    ChainTooDeep,
    FileMissing,
    FileUnreadable,
    ImageFormatUnknown,
)
from sealward.node_agent.measuring.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_LAYERS: Final = 200
"""Layers that are followed, as many as libvirt follows."""
WITHOUT_LINKS: Final = frozenset(("raw", "luks", "vdi", "vhdx", "vpc", "dmg", "parallels", "bochs", "cloop"))
"""Formats in which an image cannot refer to another file."""
UNSTATED: Final = "(none)"
"""Stands in the place of a format that a header does not state. No format has this name."""
_MAGICS: Final = {
    qcow2.MAGIC: "qcow2",
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"# Di": "vmdk",
    b"QED\0": "qed",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One image of a chain. `path` is the absolute form of the name in the domain or in the layer above.

    `depth` is 0 for the disk itself; a data file has the depth of the image whose data it holds. `size` is
    the number of bytes that the guest sees. `backing_format` is UNSTATED where the header names a backing
    file without its format.
    """

    path: str
    format: str
    depth: int
    is_block: bool
    size: int
    backing: str | None = None
    backing_format: str | None = None
    data_file: str | None = None
    is_data: bool = False
    found: os.stat_result | None = field(default=None, compare=False, repr=False)
    """The result of fstat(2) when the header was read."""
    links: str = field(default="", compare=False, repr=False)
    """The digest of the links in the header (`qcow2.Header.links`); empty for formats without links."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The layers below a disk's image that the domain's XML states: (path, format).

    They may end before the chain does.
    """

    layers: tuple[tuple[str, str], ...] = ()
    is_whole: bool = False


UNDECLARED: Final = Declared()
"""The XML states no layers."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A reference to an image that is to be followed."""

    path: str
    format: str
    depth: int
    is_data: bool = False


def walk(
    path: str,
    image_format: str,
    root: Path,
    declared: Declared = UNDECLARED,
    seen: Callable[[str], None] = lambda _: None,
) -> tuple[Layer, ...]:
    """Return all layers of an image, including itself, top first. Raises as `follow` does."""
    return tuple(follow(path, image_format, root, declared, seen))


def follow(
    path: str,
    image_format: str,
    root: Path,
    declared: Declared = UNDECLARED,
    seen: Callable[[str], None] = lambda _: None,
) -> Iterator[Layer]:
    """Yield all layers of an image, including itself, top first. Paths are looked up below `root`.

    Where the XML declares another layer than the header above it, the declared layer is followed, because
    QEMU is told to use it. `seen` is called with the path of each image before it is opened. Raises
    NotMeasured for images that are missing, unreadable or malformed, for names and formats that are not
    followed, for more than MAX_LAYERS layers, and for a chain with an image twice.
    """
    passed: set[tuple[int, int]] = set()
    ahead = [_Link(path, image_format, 0)]
    while ahead:
        link = ahead.pop()
        if len(passed) == MAX_LAYERS:
            raise ChainTooDeep(f"{path}: more than {MAX_LAYERS} layers")
        seen(link.path)
        with opened(placed(root, link.path)) as fd:
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) in passed:
                raise ChainTooDeep(f"{path}: it comes back to {link.path}")
            passed.add((found.st_dev, found.st_ino))
            layer = _layer(fd, found, link)
        yield layer
        ahead.extend(_links(layer, declared))


def links_of(path: bytes) -> str:
    """Return the digest of the links in an image's header now. Raises OSError, NotMeasured."""
    with opened(Path(os.fsdecode(path))) as fd:
        return qcow2.read(fd).links


def placed(root: Path, path: str) -> Path:
    """Return the path below `root` of an absolute path. Raises FileUnreadable for a relative path."""
    if not path.startswith("/"):
        raise FileUnreadable(f"{path}: not an absolute path")
    return root / path.lstrip("/")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file or a block device for reading: opening anything else could hang.

    Raises NotMeasured.
    """
    with reading(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
                raise FileUnreadable(f"{path}: neither a file nor a block device")
            yield fd
        finally:
            os.close(fd)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors of the body into NotMeasured errors that name the file."""
    try:
        yield
    except NotMeasured as refused:
        if str(path) in str(refused):
            raise
        raise type(refused)(f"{path}: {refused}") from refused
    except (OSError, ValueError) as failed:
        missing = isinstance(failed, OSError) and failed.errno in (errno.ENOENT, errno.ENOTDIR)
        raise (FileMissing if missing else FileUnreadable)(f"{path}: {failed}") from failed


def _layer(fd: int, found: os.stat_result, link: _Link) -> Layer:
    is_block = stat.S_ISBLK(found.st_mode)
    real = _guessed(fd) if link.format == UNSTATED else link.format
    if real == "qcow2":
        header = qcow2.read(fd)
        guess = UNSTATED if header.backing and not header.backing_format else header.backing_format
        return Layer(
            link.path,
            link.format,
            link.depth,
            is_block,
            header.size,
            header.backing,
            guess,
            header.data_file,
            found=found,
            links=header.links,
        )
    if real not in WITHOUT_LINKS:
        raise ImageFormatUnknown(f"format {real}")
    size = os.lseek(fd, 0, os.SEEK_END) if is_block else found.st_size
    return Layer(link.path, link.format, link.depth, is_block, size, is_data=link.is_data, found=found)


def _guessed(fd: int) -> str:
    """Guess a format as QEMU would: if QEMU guessed the format, no layer below may be missed here."""
    return _MAGICS.get(os.pread(fd, 4, 0), "raw")


def _links(layer: Layer, declared: Declared) -> Iterator[_Link]:
    below = None if layer.is_data else _below(layer, declared)
    if below is not None:
        yield below
    if layer.data_file is not None:
        yield _Link(_beside(layer.path, layer.data_file), "raw", layer.depth, is_data=True)


def _below(layer: Layer, declared: Declared) -> _Link | None:
    """Return the link to the layer below: that of the header, unless the XML declares another."""
    link = None
    if layer.backing is not None:
        stated = layer.backing_format or UNSTATED
        link = _Link(_beside(layer.path, layer.backing), stated, layer.depth + 1)
    if layer.depth >= len(declared.layers):
        return None if declared.is_whole else link
    path, image_format = declared.layers[layer.depth]
    is_same = link is not None and os.path.normpath(path) == os.path.normpath(link.path)
    if is_same and link is not None and link.format in (image_format, UNSTATED):
        return link
    return _Link(path, image_format, layer.depth + 1)


def _beside(path: str, name: str) -> str:
    """Return the absolute path of a name in an image.

    As in QEMU, a relative name is relative to the image's folder.
    """
    return name if name.startswith("/") else os.path.join(os.path.dirname(path), name)  # noqa: PTH118, PTH120 - text, as it stands in XML
