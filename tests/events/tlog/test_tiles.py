"""Tiles: paths, and trees that are kept as tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.tlog.merkle import leaf_hash, over, root
from sealward.events.tlog.refusals import TileRefused
from sealward.events.tlog.tiles import (
    WIDTH,
    Tile,
    appended,
    bundle,
    remembered,
    subtrees,
    tile_at,
    tiles_of,
    unbundled,
    width_at,
)

MANY = [leaf_hash(str(one).encode()) for one in range(70_000)]


class Kept(dict[tuple[int, int], bytes]):
    """Tiles in memory."""

    def __call__(self, level: int, number: int) -> bytes:
        """Return a tile."""
        return self.get((level, number), b"")


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "0/x001/x234/067"),
        (Tile(0, 0), "0/000"),
        (Tile(0, 999), "0/999"),
        (Tile(0, 1000), "0/x001/000"),
        (Tile(0, 273, 112), "0/273.p/112"),
        (Tile(1, 1, 17), "1/001.p/17"),
        (Tile(63, 7, 255), "63/007.p/255"),
    ],
)
def test_a_tile_has_one_path(tile: Tile, path: str) -> None:
    """The specification's example, and those of the sizes around it."""
    assert tile.path == path
    assert tile_at(path) == (tile, False)


def test_entries_have_paths_beside_the_tiles() -> None:
    """A bundle of entries is named as the tile of level 0 with their hashes."""
    assert tile_at("entries/x001/234.p/9") == (Tile(0, 1234, 9), True)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0/0",
        "0/00",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/x000/001",
        "0/001/x001",
        "0/x001",
        "0/001.p/0",
        "0/001.p/01",
        "0/001.p/256",
        "0/001.p/",
        "0/001.p/1/",
        "0/001/",
        "/0/001",
        "0/\u0660\u0660\u0661",
        "0/001\n",
        "0/../001",
        "0/" + "x001/" * 6 + "001",
        "entries/entries/001",
        "1/001.p/999",
    ],
)
def test_a_path_of_no_tile_is_refused(path: str) -> None:
    """Each tile has one path, so that a cache has it once, and no path leads elsewhere."""
    with pytest.raises(TileRefused):
        tile_at(path)


def test_the_tiles_of_seventy_thousand_leaves() -> None:
    """The example of the specification: 273 full tiles and four partial ones, of 112, 17 and 1 hashes."""
    tiles = list(tiles_of(70_000))
    assert len([one for one in tiles if one.level == 0 and one.width == WIDTH]) == 273
    assert [one.path for one in tiles if one.width < WIDTH] == ["0/273.p/112", "1/001.p/17", "2/000.p/1"]
    assert [one.path for one in tiles if one.level == 1] == ["1/000", "1/001.p/17"]
    assert [one.path for one in tiles_of(256)] == ["0/000", "1/000.p/1"]
    assert list(tiles_of(0)) == []
    assert all(width_at(one, 70_000) == one.width for one in tiles)
    assert width_at(Tile(0, 274), 70_000) == width_at(Tile(3, 0), 70_000) == 0


@given(st.lists(st.integers(0, 700), max_size=12))
def test_a_tree_has_the_same_tiles_however_it_grew(batches: list[int]) -> None:
    """Leaves come in batches of any size; tiles and roots are those of the whole."""
    kept, size = Kept(), 0
    for more in batches:
        kept.update(appended(size, MANY[size : size + more], kept))
        size += more
    whole = Kept(appended(0, MANY[:size], Kept()))
    assert kept == whole
    assert sorted(kept) == sorted((one.level, one.number) for one in tiles_of(size))
    assert all(len(kept[one.level, one.number]) == 32 * one.width for one in tiles_of(size))
    if size:
        assert root(size, subtrees(kept)) == root(size, over(MANY[:size]))


def test_a_large_tree_is_read_from_its_tiles() -> None:
    """Three levels of tiles; trees of before are read from the same tiles."""
    kept = remembered(Kept(appended(0, MANY, Kept())))
    for size in (1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000):
        assert root(size, subtrees(kept)) == root(size, over(MANY[:size]))


def test_a_tile_that_lacks_hashes_is_named() -> None:
    """Nothing is computed from less than there must be."""
    kept = Kept(appended(0, MANY[:300], Kept()))
    kept[0, 1] = kept[0, 1][:-1]
    with pytest.raises(TileRefused, match=r"0/001"):
        root(300, subtrees(kept))
    with pytest.raises(TileRefused, match=r"0/001"):
        appended(300, MANY[300:310], kept)


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_entries_come_out_of_a_bundle_as_they_went_in(entries: list[bytes]) -> None:
    """Also empty entries."""
    assert unbundled(bundle(entries)) == entries


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_bundle_or_refused(data: bytes) -> None:
    """And what is taken is the one bundle of its entries."""
    try:
        entries = unbundled(data)
    except TileRefused:
        return
    assert bundle(entries) == data


def test_a_bundle_has_so_many_entries_and_no_more() -> None:
    """A full tile has 256."""
    with pytest.raises(TileRefused):
        unbundled(b"\0\0" * (WIDTH + 1))
