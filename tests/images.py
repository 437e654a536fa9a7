"""Images made by hand, with headers that qemu-img would not write."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

BACKING_FORMAT = 0xE2792ACA
DATA_FILE = 0x44415441


def qemu_img(*arguments: str | Path) -> str:
    """Run qemu-img and return what it printed."""
    return subprocess.run(  # noqa: S603 - our own arguments
        ["qemu-img", *map(str, arguments)],  # noqa: S607 - Debian's, wherever that is
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def header(  # noqa: PLR0913 - what a header says
    *,
    name: bytes = b"",
    extensions: tuple[tuple[int, bytes], ...] = (),
    size: int = 1 << 20,
    version: int = 3,
    features: int = 0,
    cluster_bits: int = 16,
    name_length: int | None = None,
    header_length: int = 104,
) -> bytes:
    """Return the first bytes of a qcow2 image."""
    listed = b"".join(struct.pack(">II", kind, len(d)) + d + bytes(-len(d) % 8) for kind, d in extensions)
    listed += bytes(8)
    start = 104 if version == 3 else 72
    name_at = start + len(listed) if name or name_length else 0
    length = len(name) if name_length is None else name_length
    fixed = struct.pack(">4sIQIIQ", b"QFI\xfb", version, name_at, length, cluster_bits, size) + bytes(40)
    if version == 3:
        fixed += struct.pack(">QQQII", features, 0, 0, 4, header_length)
    return fixed + listed + name
