"""Merkle trees as RFC 6962 (section 2.1) has them: hashes, roots, proofs, and their verification.

A tree of n leaves splits at the largest power of two that is smaller than n. A subtree is complete when it
has 2^level leaves and begins at a multiple of that number. Proofs are made from hashes of complete subtrees
alone. The verification is the iterative form of RFC 9162 (sections 2.1.3.2 and 2.1.4.2), for the same trees.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sealward.events.tlog.refusals import ProofRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Subtree = Callable[[int, int], bytes]
    """Returns the hash of the complete subtree of a level (0: the leaves) with a number, counted from 0."""

EMPTY: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""
HASH: Final = 32
"""Bytes of a hash."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(size: int, subtree: Subtree) -> bytes:
    """Return the root of the tree of the first `size` leaves."""
    return EMPTY if size == 0 else _hash_of(0, size, subtree)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree from the hashes of all its leaves."""
    return root(len(leaves), over(leaves))


def over(leaves: Sequence[bytes]) -> Subtree:
    """Return the complete subtrees over hashes of leaves that are all in memory."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = zip(below[::2], below[1::2], strict=False)
        levels.append([node_hash(left, right) for left, right in pairs])
    return lambda level, number: levels[level][number]


def inclusion_proof(index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the hashes beside the way from a leaf up to the root of a tree of `size` leaves.

    Raises ProofRefused when the tree has no leaf `index`.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} leaves has no leaf {index}")
    return tuple(_hash_of(begin, end, subtree) for begin, end in _beside(index, size))


def consistency_proof(old: int, new: int, subtree: Subtree) -> tuple[bytes, ...]:
    """Return the hashes that prove that the tree of `new` leaves begins with the tree of `old` leaves.

    Raises ProofRefused when `old` is 0, which needs no proof, or larger than `new`, which has none.
    """
    if not 0 < old <= new:
        raise ProofRefused(f"there is no proof from {old} to {new} leaves")
    return tuple(_hash_of(begin, end, subtree) for begin, end in _between(old, new))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Check that a leaf, given by its hash, is leaf `index` of the tree with the root `expected`.

    RFC 9162, section 2.1.3.2. Raises ProofRefused.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} leaves has no leaf {index}")
    node, last, found = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise ProofRefused("the proof has too many hashes")
        if node & 1 or node == last:
            found = node_hash(beside, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofRefused("the proof has too few hashes")
    if found != expected:
        raise ProofRefused("the proof leads to another root")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    RFC 9162, section 2.1.4.2. Raises ProofRefused. A tree without leaves is the beginning of each tree.
    """
    if not 0 <= old <= new:
        raise ProofRefused(f"a tree of {old} leaves is no beginning of a tree of {new}")
    if old in {0, new}:
        _without_proof(old, new, proof, old_root, new_root)
        return
    of_old, of_new = _roots_by(old, new, proof, old_root)
    if of_old != old_root:
        raise ProofRefused("the proof leads to another root of the smaller tree")
    if of_new != new_root:
        raise ProofRefused("the proof leads to another root of the larger tree")


def _without_proof(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise ProofRefused("the proof has too many hashes")
    if old == new and old_root != new_root:
        raise ProofRefused(f"two trees of {new} leaves have different roots")
    if old == 0 and old_root != EMPTY:
        raise ProofRefused("the tree without leaves has another root")


def _roots_by(old: int, new: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    hashes = list(proof) if node else [old_root, *proof]  # a complete smaller tree is a hash of the larger
    if not hashes:
        raise ProofRefused("the proof has too few hashes")
    of_old = of_new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            raise ProofRefused("the proof has too many hashes")
        if node & 1 or node == last:
            of_old, of_new = node_hash(beside, of_old), node_hash(beside, of_new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            of_new = node_hash(of_new, beside)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofRefused("the proof has too few hashes")
    return of_old, of_new


def _hash_of(begin: int, end: int, subtree: Subtree) -> bytes:
    """Return the hash over the leaves from `begin` to before `end`; a subtree begins at `begin`."""
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_hash_of(begin, middle, subtree), _hash_of(middle, end, subtree))


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _beside(index: int, size: int) -> list[tuple[int, int]]:
    """Return the ranges of leaves beside the way from a leaf to the root (PATH of RFC 6962), lowest first."""
    begin, end, ranges = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def _between(old: int, new: int) -> list[tuple[int, int]]:
    """Return the ranges of leaves that a consistency proof names (SUBPROOF of RFC 6962)."""
    begin, end, ranges, is_whole = 0, new, [], True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin, is_whole = middle, False
    if not is_whole:
        ranges.append((begin, end))
    return ranges[::-1]
