"""The construction of the tree hash: pinned by vectors, held against a plain reading of its definition."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.node_agent.files.content import tree

VECTORS = json.loads((Path(__file__).parents[2] / "assets" / "files" / "tree.json").read_text())


def _content(vector: dict[str, Any]) -> bytes:
    """Return the bytes that a vector is about: `size` bytes, each one of `byte`, the last one 7."""
    content = bytearray([vector["byte"]]) * vector["size"]
    content[-1:] = b"\x07" * bool(content)
    return bytes(content)


def _leaves(content: bytes) -> bytes:
    """Return the leaves as the definition has them."""
    starts = range(0, len(content), tree.LEAF)
    return b"".join(hashlib.sha256(b"\0" + content[start : start + tree.LEAF]).digest() for start in starts)


def _rfc6962(leaves: list[bytes]) -> bytes:
    """Return the top as RFC 6962 defines it: split at the largest power of two below the count."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _rfc6962(leaves[:split]) + _rfc6962(leaves[split:])).digest()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: f"{one['size']}x{one['byte']}")
def test_the_vectors_stand(vector: dict[str, Any]) -> None:
    """What was signed with "sealward-tree/1" once has the same root for ever."""
    content = _content(vector)

    assert tree.root(_leaves(content), len(content)) == vector["root"]


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_the_tree_is_that_of_rfc_6962(leaves: list[bytes]) -> None:
    """Folding level by level gives the shape of the RFC's recursion, for every count."""
    size = len(leaves) * tree.LEAF
    header = b"sealward-tree/1\0" + size.to_bytes(8, "big")
    expected = hashlib.sha256(header + _rfc6962(leaves)).hexdigest()

    assert tree.root(b"".join(leaves), size) == f"sealward-tree/1:{expected}"


@given(st.integers(0, 5), st.integers(0, 40), st.integers(1, tree.LEAF), st.data())
def test_a_sparse_file_has_the_root_of_its_dense_copy(
    data_leaves: int, count: int, last: int, data: st.DataObject
) -> None:
    """Whichever leaves are holes, and however long the last leaf is."""
    size = count * tree.LEAF + last
    total = tree.leaf_count(size)
    indexes = data.draw(st.sets(st.integers(0, total - 1), max_size=data_leaves))
    leaves = {index: bytes([index + 1]) * 32 for index in indexes}
    dense = b"".join(leaves.get(index) or tree.hole(tree.leaf_length(index, size)) for index in range(total))

    assert tree.sparse_root(leaves, size) == tree.root(dense, size)


def test_a_file_as_large_as_can_be_costs_what_its_data_costs() -> None:
    """A hole of nearly 8 EiB is skipped."""
    began = time.monotonic()
    largest = 2**63 - 1

    assert tree.sparse_root({0: b"x" * 32}, largest) != tree.sparse_root({1: b"x" * 32}, largest)
    assert time.monotonic() - began < 1


def test_the_length_is_bound() -> None:
    """The same leaves under another length are another root; a length they cannot have is refused."""
    leaf = tree.hole(tree.LEAF)

    assert tree.root(leaf, tree.LEAF) != tree.root(leaf, tree.LEAF - 1)
    with pytest.raises(ValueError, match="that size"):
        tree.root(leaf, tree.LEAF + 1)


def test_no_leaf_is_a_node() -> None:
    """A file that consists of two digests does not have the leaf that their node is."""
    pair = bytes(64)

    assert hashlib.sha256(b"\0" + pair).digest() == _leaves(pair)
    assert hashlib.sha256(b"\1" + pair).digest() != _leaves(pair)


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_difference_is_found_where_it_begins(count: int, changed: int) -> None:
    """The offset is that of the first leaf that is not the same, a missing one included."""
    signed = b"".join(bytes([index]) * 32 for index in range(count))
    found = bytearray(signed)
    found[changed * 32 : changed * 32 + 32] = b"\xff" * 32

    assert tree.first_difference(signed, bytes(found)) == min(changed, count) * tree.LEAF
    assert tree.first_difference(signed, signed) is None
