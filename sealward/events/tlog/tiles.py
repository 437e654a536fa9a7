"""Tiles: a Merkle tree as files of 256 hashes, as C2SP's tlog-tiles has them (c2sp.org/tlog-tiles).

A tile of level l has the hashes of complete subtrees of 256^l leaves. A partial tile is a beginning of the
full tile, so each tile is kept once: a narrower tile is answered with the first bytes of the wider tile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sealward.events.tlog.merkle import HASH, node_hash
from sealward.events.tlog.refusals import TileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sealward.events.tlog.merkle import Subtree

HEIGHT: Final = 8
"""Levels of the tree that a tile spans."""
WIDTH: Final = 1 << HEIGHT
"""Hashes of a full tile."""
ENTRY: Final = 0xFFFF
"""Bytes of an entry at most: its length has two bytes."""
PATH: Final = re.compile(
    r"(?P<level>entries|0|[1-5][0-9]?|6[0-3]?|[7-9])/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
DIGITS: Final = 18
"""Digits that the number of a tile may have."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile by its place: level, number in the level, and how many hashes are wanted of it."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Return the path under `tile/`: `0/x001/234.p/17`."""
        return f"{self.level}/{numbered(self.number, self.width)}"


def numbered(number: int, width: int) -> str:
    """Return the part of a path that names a tile within its level."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == WIDTH else f".p/{width}")


def tile_at(path: str) -> tuple[Tile, bool]:
    """Return the tile that a path under `tile/` names; True when the path names its entries, not its hashes.

    Raises TileRefused. Each tile has exactly one path.
    """
    found = PATH.fullmatch(path)
    if found is None:
        raise TileRefused(f"{path[:100]!r} is no path of a tile")
    digits = found["number"].replace("x", "").replace("/", "")
    width = WIDTH if found["width"] is None else int(found["width"])
    is_entries = found["level"] == "entries"
    if len(digits) > DIGITS or (len(digits) > 3 and digits.startswith("000")):  # noqa: PLR2004 - a group
        raise TileRefused(f"{path[:100]!r} is no path of a tile")
    if found["width"] is not None and width >= WIDTH:
        raise TileRefused(f"a partial tile has fewer than {WIDTH} hashes")
    return Tile(0 if is_entries else int(found["level"]), int(digits), width), is_entries


def tiles_of(size: int) -> Iterator[Tile]:
    """Yield all tiles of a tree of `size` leaves, each with the width that it has there."""
    level = 0
    while size >> (HEIGHT * level):
        hashes = size >> (HEIGHT * level)
        yield from (Tile(level, number) for number in range(hashes // WIDTH))
        if hashes % WIDTH:
            yield Tile(level, hashes // WIDTH, hashes % WIDTH)
        level += 1


def width_at(tile: Tile, size: int) -> int:
    """Return how many hashes a tile has in a tree of `size` leaves: 0 to 256."""
    return max(0, min(WIDTH, (size >> (HEIGHT * tile.level)) - tile.number * WIDTH))


class Stored(Protocol):
    """Tiles as they are kept."""

    def __call__(self, level: int, number: int) -> bytes:
        """Return the hashes of a tile, as many as there are; no bytes for a tile that is not there."""


def appended(size: int, leaves: Sequence[bytes], stored: Stored) -> dict[tuple[int, int], bytes]:
    """Return the tiles that change when leaves, given by their hashes, follow the first `size` leaves.

    A partial tile is returned whole, including the hashes that it had before.
    """
    changed: dict[tuple[int, int], bytes] = {}
    level, begin, added = 0, size, list(leaves)
    while added:
        number, filled = divmod(begin, WIDTH)
        before = stored(level, number) if filled else b""
        if len(before) < filled * HASH:
            raise TileRefused(f"tile {Tile(level, number).path} has fewer than {filled} hashes")
        hashes = before[: filled * HASH] + b"".join(added)
        cut = [hashes[at : at + WIDTH * HASH] for at in range(0, len(hashes), WIDTH * HASH)]
        changed.update({(level, number + one): data for one, data in enumerate(cut)})
        full = [data for data in cut if len(data) == WIDTH * HASH]
        level, begin, added = level + 1, number, [tile_root(data) for data in full]
    return changed


def tile_root(tile: bytes) -> bytes:
    """Return the hash over a full tile."""
    return _above(tile, HEIGHT, 0)


def subtrees(stored: Stored) -> Subtree:
    """Return the complete subtrees of a tree that is kept as tiles."""

    def subtree(level: int, number: int) -> bytes:
        tile_level, above = divmod(level, HEIGHT)
        tile, at = divmod(number << above, WIDTH)
        data = stored(tile_level, tile)
        if len(data) < (at + (1 << above)) * HASH:
            raise TileRefused(f"tile {Tile(tile_level, tile).path} has too few hashes")
        return _above(data, above, at)

    return subtree


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as an entry bundle: each with its length, two bytes, the high byte first."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundled(data: bytes) -> list[bytes]:
    """Return the entries of an entry bundle. Raises TileRefused."""
    entries, at = [], 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or at > len(data):
            raise TileRefused("an entry bundle ends within an entry")
        entries.append(data[begin:at])
    if len(entries) > WIDTH:
        raise TileRefused(f"an entry bundle has more than {WIDTH} entries")
    return entries


def _above(tile: bytes, height: int, at: int) -> bytes:
    """Return the hash of 2^height hashes of a tile from the hash `at` on."""
    hashes = [tile[one * HASH : one * HASH + HASH] for one in range(at, at + (1 << height))]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[one], hashes[one + 1]) for one in range(0, len(hashes), 2)]
    return hashes[0]


def remembered(stored: Stored, most: int = 4096) -> Stored:
    """Return tiles that are read once: `most` full tiles are kept in memory."""
    kept: dict[tuple[int, int], bytes] = {}
    read: Callable[[int, int], bytes] = stored

    def known(level: int, number: int) -> bytes:
        data = kept.get((level, number))
        if data is None:
            data = read(level, number)
            if len(data) == WIDTH * HASH:
                if len(kept) >= most:
                    kept.clear()
                kept[level, number] = data
        return data

    return known
