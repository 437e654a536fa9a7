"""Reads the header of a qcow2 image that may be hostile: the files that it refers to, and its size.

Source: QEMU's docs/interop/qcow2.txt. It takes one small read, or a few where the header says so, and follows
no reference. Headers that QEMU would refuse are refused, and so are headers that only QEMU can interpret.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.node_agent.files.refusals import ImageMalformed, ImageNameRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"QFI\xfb"
MAX_NAME: Final = 1023
MAX_EXTENSIONS: Final = 64
_READ: Final = 1024
_V2_LENGTH: Final = 72
_V3_LENGTH: Final = 104
_CLUSTER_BITS: Final = range(9, 22)
_EXTERNAL_DATA: Final = 1 << 2
_KNOWN_FEATURES: Final = 0b11111
_END: Final = 0
_BACKING_FORMAT: Final = 0xE2792ACA
_DATA_FILE: Final = 0x44415441
_FORMAT = re.compile(r"[A-Za-z0-9_-]{1,15}")


@dataclass(frozen=True, slots=True)
class Header:
    """The statements of an image's header.

    `size` is the number of bytes that the guest sees. `backing` and `data_file` are names as they stand in
    the header. `backing_format` is None where the header does not state it.
    """

    size: int
    backing: str | None = None
    backing_format: str | None = None
    data_file: str | None = None

    @property
    def links(self) -> str:
        """Return a SHA-256 digest in hexadecimal of all statements. QEMU changes none of them at a start."""
        said = (self.size, self.backing, self.backing_format, self.data_file)
        return hashlib.sha256(repr(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Start:
    """An open image, and its first bytes."""

    fd: int
    head: bytes

    def exactly(self, length: int, offset: int) -> bytes:
        """Return that many bytes at an offset. Raises ImageMalformed."""
        found = self.head[offset : offset + length]
        if len(found) != length:
            found = os.pread(self.fd, length, offset)
        if len(found) != length:
            raise ImageMalformed("its header is cut short")
        return found


def read(fd: int) -> Header:
    """Read the header of an open image. Raises ImageMalformed, ImageNameRefused, OSError."""
    start = _Start(fd, os.pread(fd, _READ, 0))
    head = start.head[:_V3_LENGTH]
    if len(head) < _V2_LENGTH or head[:4] != MAGIC:
        raise ImageMalformed("it has no qcow2 header")
    version, name_at, name_length, cluster_bits, size = struct.unpack_from(">IQIIQ", head, 4)
    if version not in (2, 3) or cluster_bits not in _CLUSTER_BITS or name_at > 1 << cluster_bits:
        raise ImageMalformed("its version, cluster size or backing file's place is out of range")
    features, length = (0, _V2_LENGTH) if version == 2 else _v3(head)  # noqa: PLR2004 - the version of the format
    extensions = _extensions(start, length, name_at or 1 << cluster_bits)
    data_file = _name(extensions.get(_DATA_FILE, b"")) if features & _EXTERNAL_DATA else None
    if data_file is None and features & _EXTERNAL_DATA:
        raise ImageMalformed("its data is in another file that it does not name")
    backing = _backing(start, name_at, name_length, 1 << cluster_bits) if name_at else None
    return Header(size, backing, _format(extensions) if backing else None, data_file)


def _v3(head: bytes) -> tuple[int, int]:
    """Return the incompatible features and the length of a header of version 3."""
    if len(head) < _V3_LENGTH:
        raise ImageMalformed("its header is cut short")
    features: int = struct.unpack_from(">Q", head, 72)[0]
    length: int = struct.unpack_from(">I", head, 100)[0]
    if features & ~_KNOWN_FEATURES or length < _V3_LENGTH or length % 8:
        raise ImageMalformed("it needs features that are not known here, or its header has an odd length")
    return features, length


def _extensions(image: _Start, start: int, end: int) -> dict[int, bytes]:
    """Return the content of those header extensions that name files or formats."""
    found: dict[int, bytes] = {}
    for kind, at, length in _each_extension(image, start, end):
        if kind not in (_BACKING_FORMAT, _DATA_FILE):
            continue
        if kind in found or length > MAX_NAME:
            raise ImageMalformed("a header extension is there twice or too long")
        found[kind] = image.exactly(length, at)
    return found


def _each_extension(image: _Start, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, offset of the content, length of the content) of each extension, up to the list's end."""
    if start > end:
        raise ImageMalformed("its header is longer than its place")
    for _ in range(MAX_EXTENSIONS):
        if start + 8 > end:
            return
        kind, length = struct.unpack(">II", image.exactly(8, start))
        if kind == _END:
            return
        if start + 8 + length > end:
            raise ImageMalformed("a header extension is longer than its place")
        yield kind, start + 8, length
        start += 8 + -(-length // 8) * 8
    raise ImageMalformed(f"it has more than {MAX_EXTENSIONS} header extensions")


def _backing(image: _Start, at: int, length: int, cluster: int) -> str | None:
    if length > min(MAX_NAME, cluster - at):
        raise ImageMalformed("the name of its backing file is longer than its place")
    return _name(image.exactly(length, at))


def _name(raw: bytes) -> str | None:
    """Return the name of a file; None for an empty name. Raises ImageNameRefused."""
    try:
        name = raw.decode()
    except UnicodeError as error:
        raise ImageNameRefused("it is not UTF-8") from error
    if not name:
        return None
    if not name.isprintable() or ":" in name.partition("/")[0]:
        raise ImageNameRefused("it is a protocol or options, not a file's name")
    return name


def _format(extensions: dict[int, bytes]) -> str | None:
    raw = extensions.get(_BACKING_FORMAT)
    if not raw:
        return None
    name = raw.decode("ascii", "replace")
    if not _FORMAT.fullmatch(name):
        raise ImageMalformed("the format of its backing file has no format's name")
    return name
