"""Reading leaves: holes are zeros, two threads are as one, and no file is read that is not the one meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealward.node_agent.files.content import reader, tree
from sealward.node_agent.files.refusals import FileChanging

MIB = 1024 * 1024


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Yield two threads."""
    with ThreadPoolExecutor(2) as threads:
        yield threads


def _root(path: Path, pool: ThreadPoolExecutor, first: int = 0, known: bytes = b"") -> str:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return tree.root(known + b"".join(reader.stretches(file.fileno(), size, first, pool)), size)


def _pieces(path: Path, size: int, pieces: dict[int, bytes], *, sparse: bool) -> Path:
    with path.open("wb") as file:
        if sparse:
            file.truncate(size)
        else:
            file.write(bytes(size))
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
    return path


@pytest.mark.parametrize("size", [0, 1, 4 * MIB, 9 * MIB + 5, 70 * MIB])
def test_holes_are_zeros(tmp_path: Path, pool: ThreadPoolExecutor, size: int) -> None:
    """A file with holes has the root of the same file with zeros written out."""
    pieces = {offset: b"data" for offset in (0, 4 * MIB - 2, 5 * MIB + 100, 66 * MIB) if offset + 4 <= size}
    sparse = _pieces(tmp_path / "sparse", size, pieces, sparse=True)
    dense = _pieces(tmp_path / "dense", size, pieces, sparse=False)

    assert sparse.stat().st_blocks <= dense.stat().st_blocks
    assert _root(sparse, pool) == _root(dense, pool)


def test_the_leaves_are_those_of_the_definition(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """What the reader says of random bytes is what hashing them piece by piece says."""
    data = os.urandom(9 * MIB + 12345)
    (tmp_path / "file").write_bytes(data)
    leaves = b""
    for start in range(0, len(data), tree.LEAF):
        digest = tree.leaf_hash()
        digest.update(data[start : start + tree.LEAF])
        leaves += digest.digest()

    assert _root(tmp_path / "file", pool) == tree.root(leaves, len(data))


def test_reading_goes_on_where_it_stopped(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leaves of a first stretch and those read later make the root of the whole."""
    monkeypatch.setattr(reader, "STRETCH", 2)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(21 * MIB))
    with path.open("rb") as file:
        part = next(reader.stretches(file.fileno(), 21 * MIB, 0, pool))

    assert len(part) == 2 * tree.DIGEST
    assert _root(path, pool, 2, part) == _root(path, pool)


def test_a_file_that_became_shorter_is_told_apart(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """It ends in an error, neither in a root nor in a crash."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    with path.open("rb") as file, pytest.raises(FileChanging):
        next(reader.stretches(file.fileno(), 200, 0, pool))
