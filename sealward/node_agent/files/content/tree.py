"""The tree hash "sealward-tree/1" of a file's content: parallel, resumable, and with offsets of changes.

    leaf = SHA-256(0x00 || data)               data: 4 MiB; for the last leaf the rest of the file
    node = SHA-256(0x01 || left || right)      the tree over the leaves is that of RFC 6962, section 2.1
    root = SHA-256("sealward-tree/1" || 0x00 || length of the file, 8 bytes, big-endian || top of the tree)

The top over no leaves is SHA-256(""). The first byte tells leaves from nodes, and the length fixes the number
of leaves. A leaf does not depend on its place: the leaf of a hole is that of as many zeros, a constant. A
root is written as "sealward-tree/1:" and 64 hexadecimal digits. Test vectors: tests/assets/files/tree.json.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME: Final = "sealward-tree/1"
LEAF: Final = 4 * 1024 * 1024
DIGEST: Final = 32
_LEAF_MARK: Final = b"\x00"
_NODE_MARK: Final = b"\x01"


def leaf_hash() -> hashlib._Hash:
    """Return a hash object for the data of a leaf."""
    return hashlib.sha256(_LEAF_MARK)


def leaf_count(size: int) -> int:
    """Return the number of leaves of a file with that many bytes."""
    return -(-size // LEAF)


def leaf_length(index: int, size: int) -> int:
    """Return the number of bytes that leaf `index` of a file of `size` bytes covers."""
    return min(LEAF, size - index * LEAF)


@functools.lru_cache(maxsize=16)
def hole(length: int) -> bytes:
    """Return the leaf of that many zeros."""
    digest = leaf_hash()
    digest.update(bytes(length))
    return digest.digest()


def root(leaves: bytes | bytearray, size: int) -> str:
    """Return the root of a file of `size` bytes as text, given its concatenated leaves."""
    if len(leaves) != leaf_count(size) * DIGEST:
        raise ValueError("so many leaves do not make a file of that size")
    header = NAME.encode() + b"\0" + size.to_bytes(8, "big")
    return f"{NAME}:{hashlib.sha256(header + _top(leaves)).hexdigest()}"


def sparse_root(leaves: Mapping[int, bytes], size: int) -> str:
    """Return the root of a file of `size` bytes, given those leaves that hold data; all others are holes.

    The cost depends on the data, not on the size of the file: a subtree of holes is a constant.
    """
    count = leaf_count(size)
    top = _sparse_top(sorted(leaves), leaves, 0, count, size) if count else hashlib.sha256().digest()
    header = NAME.encode() + b"\0" + size.to_bytes(8, "big")
    return f"{NAME}:{hashlib.sha256(header + top).hexdigest()}"


def first_difference(signed: bytes, found: bytes) -> int | None:
    """Return the offset in bytes of the first leaf in which two files differ; None where no leaf differs."""
    for start in range(0, max(len(signed), len(found)), DIGEST):
        if signed[start : start + DIGEST] != found[start : start + DIGEST]:
            return start // DIGEST * LEAF
    return None


def _sparse_top(data: Sequence[int], leaves: Mapping[int, bytes], first: int, count: int, size: int) -> bytes:
    """Return the top over `count` leaves from `first` on; `data` are the indexes of those that hold data."""
    if count == 1:
        return leaves[first] if data else hole(leaf_length(first, size))
    is_full = (first + count) * LEAF <= size
    if not data and is_full and not count & (count - 1):
        return _holes_top(count.bit_length() - 1)
    left = 1 << (count - 1).bit_length() - 1
    split = bisect.bisect_left(data, first + left)
    return _node(
        _sparse_top(data[:split], leaves, first, left, size),
        _sparse_top(data[split:], leaves, first + left, count - left, size),
    )


@functools.lru_cache(maxsize=64)
def _holes_top(height: int) -> bytes:
    """Return the top over 2**height leaves of zeros."""
    if not height:
        return hole(LEAF)
    return _node(_holes_top(height - 1), _holes_top(height - 1))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE_MARK + left + right).digest()


def _top(leaves: bytes | bytearray) -> bytes:
    """Fold the leaves level by level. The last of an odd number rises unchanged, as in RFC 6962."""
    level = [bytes(leaves[start : start + DIGEST]) for start in range(0, len(leaves), DIGEST)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        nodes = [_node(left, right) for left, right in pairs]
        level = nodes + level[len(nodes) * 2 :]
    return level[0] if level else hashlib.sha256().digest()
