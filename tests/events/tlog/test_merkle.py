"""Merkle trees: the published vectors, every small tree, and proofs that show nothing."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_tree import LEAVES

from sealward.events.tlog.merkle import (
    EMPTY,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    over,
    root,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from sealward.events.tlog.refusals import ProofRefused

ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
MANY = [leaf_hash(str(one).encode()) for one in range(300)]
SUBTREES = over(MANY)


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_the_reference_tree(size: int) -> None:
    """The published roots of the first 0, 1, 2, 3, 5, 6, 7 and 8 entries."""
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_inclusion_proofs_are_those_of_the_reference_tree() -> None:
    """Published: leaf 5 of 8, and leaf 2 of 3."""
    assert [one.hex() for one in inclusion_proof(5, 8, over(LEAVES))] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in inclusion_proof(2, 3, over(LEAVES))] == [ROOTS[2]]


def test_consistency_proofs_are_those_of_the_reference_tree() -> None:
    """Published: from 6 to 8, and from 2 to 5 leaves."""
    assert [one.hex() for one in consistency_proof(6, 8, over(LEAVES))] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in consistency_proof(2, 5, over(LEAVES))] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def test_a_tree_is_what_its_definition_says() -> None:
    """RFC 6962, section 2.1, word by word, for each size up to 300."""

    def defined(leaves: list[bytes]) -> bytes:
        if len(leaves) <= 1:
            return leaves[0] if leaves else hashlib.sha256().digest()
        split = 1
        while split * 2 < len(leaves):
            split *= 2
        return node_hash(defined(leaves[:split]), defined(leaves[split:]))

    for size in (*range(70), 127, 128, 129, 255, 256, 257, 300):
        assert root(size, SUBTREES) == defined(MANY[:size])


def test_each_leaf_of_each_small_tree_has_a_proof() -> None:
    """And the proof is good for that leaf, and for no other leaf of the tree."""
    for size in range(1, 40):
        whole = root(size, SUBTREES)
        for index in range(size):
            proof = inclusion_proof(index, size, SUBTREES)
            verify_inclusion(MANY[index], index, size, proof, whole)
            for other in {(index + 1) % size, size - 1, 0} - {index}:
                with pytest.raises(ProofRefused):
                    verify_inclusion(MANY[index], other, size, proof, whole)


def test_each_small_tree_is_the_beginning_of_each_larger_tree() -> None:
    """The tree without leaves, too; and a tree is a beginning of itself."""
    for new in range(40):
        for old in range(new + 1):
            proof = consistency_proof(old, new, SUBTREES) if old else ()
            verify_consistency(old, new, proof, root(old, SUBTREES), root(new, SUBTREES))
            assert bool(proof) == (0 < old < new)


SIZES = st.integers(1, 300)


@given(SIZES, st.data())
def test_a_changed_inclusion_proof_shows_nothing(size: int, data: st.DataObject) -> None:
    """A flipped bit in any hash, a hash more, a hash fewer, another root, another size."""
    index = data.draw(st.integers(0, size - 1))
    proof, whole = list(inclusion_proof(index, size, SUBTREES)), root(size, SUBTREES)
    verify_inclusion(MANY[index], index, size, proof, whole)
    with pytest.raises(ProofRefused):
        verify_inclusion(MANY[index], index, size, data.draw(changed(proof)), whole)
    with pytest.raises(ProofRefused):
        verify_inclusion(flipped(MANY[index], 3), index, size, proof, whole)
    with pytest.raises(ProofRefused):
        verify_inclusion(MANY[index], index, size, proof, flipped(whole, 100))


@given(SIZES, st.data())
def test_a_changed_consistency_proof_shows_nothing(new: int, data: st.DataObject) -> None:
    """For each change: of the proof, of a root, or of the history itself."""
    old = data.draw(st.integers(1, new))
    proof = list(consistency_proof(old, new, SUBTREES))
    roots = root(old, SUBTREES), root(new, SUBTREES)
    verify_consistency(old, new, proof, *roots)
    with pytest.raises(ProofRefused):
        verify_consistency(old, new, data.draw(changed(proof)), *roots)
    rewritten = [*MANY[: old - 1], flipped(MANY[old - 1], 0), *MANY[old:]]
    with pytest.raises(ProofRefused):
        verify_consistency(old, new, proof, roots[0], root(new, over(rewritten)))
    of_rewritten = list(consistency_proof(old, new, over(rewritten)))
    if of_rewritten != proof:  # a proof from a complete subtree has no hash of its leaves
        with pytest.raises(ProofRefused):
            verify_consistency(old, new, of_rewritten, *roots)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (0, 3)])
def test_there_is_no_proof_of_the_impossible(old: int, new: int) -> None:
    """A larger tree is no beginning of a smaller tree, and from no leaves there is nothing to show."""
    with pytest.raises(ProofRefused):
        consistency_proof(old, new, SUBTREES)


def test_the_tree_without_leaves_has_one_root() -> None:
    """Another root for it is refused."""
    verify_consistency(0, 3, (), EMPTY, root(3, SUBTREES))
    with pytest.raises(ProofRefused):
        verify_consistency(0, 3, (), MANY[0], root(3, SUBTREES))
    with pytest.raises(ProofRefused):
        verify_consistency(3, 3, (), root(3, SUBTREES), MANY[0])


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_a_leaf_beyond_the_tree_has_no_proof(index: int) -> None:
    """Neither is one made, nor is one taken."""
    with pytest.raises(ProofRefused):
        inclusion_proof(index, 3, SUBTREES)
    with pytest.raises(ProofRefused):
        verify_inclusion(MANY[0], index, 3, (), MANY[0])


def flipped(data: bytes, bit: int) -> bytes:
    """Return bytes with a bit the other way round."""
    at, inside = divmod(bit, 8)
    return data[:at] + bytes([data[at] ^ (1 << inside)]) + data[at + 1 :]


@st.composite
def changed(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """Return the proof with a hash more, a hash fewer, or a flipped bit."""
    kinds = ["more"] + (["fewer", "bit"] if proof else [])
    kind = draw(st.sampled_from(kinds))
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    if kind == "more":
        return [*proof[:at], MANY[7], *proof[at:]]
    if kind == "fewer":
        return [*proof[:at], *proof[at + 1 :]]
    return [*proof[:at], flipped(proof[at], draw(st.integers(0, 255))), *proof[at + 1 :]]
