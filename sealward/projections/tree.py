"""The Merkle tree over the log: a leaf for each event, as the event's bytes are stored.

Each event of the log has a leaf, also an event that no other projection can read. The tree is folded in the
same transaction as all rows, so a rebuild gives the same tree as long as no event has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events.base import Recorded
from sealward.events.tlog.merkle import HASH, leaf_hash, root
from sealward.events.tlog.record import entry_of
from sealward.events.tlog.tiles import WIDTH, appended, remembered, subtrees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sealward.events.set_aside import Unread
    from sealward.events.tlog.merkle import Subtree
    from sealward.events.tlog.tiles import Stored
    from sealward.projections.store.tables import Row, Tables


class Tree:
    """Keeps the tiles of the tree."""

    name = "tree_tiles"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("tree.drop")
        tables.run("tree.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("tree.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Do nothing: `fold` takes the entries of the log as they are, readable or not."""

    def fold(self, after: int, batch: Sequence[Recorded | Unread], tables: Tables) -> None:
        """Append the leaves of a batch to the tree of the events up to the position `after`."""
        size = self.size(after, tables)
        leaves = [leaf_hash(entry(one)) for one in batch]
        changed = appended(size, leaves, self.stored(tables))
        tables.many(
            "tree.put",
            [{"level": level, "number": number, "data": data} for (level, number), data in changed.items()],
        )
        tables.many("tree.put-run", list(_runs(after, size, [one.position for one in batch])))

    def size(self, position: int, tables: Tables) -> int:
        """Return how many events the log has up to a position."""
        found = tables.one("tree.run-at", {"position": position}) if position else None
        if found is None:
            return 0
        following = tables.one("tree.next-run", {"position": position})
        size = int(found["leaf"]) + position - int(found["position"]) + 1
        return size if following is None else min(size, int(following["leaf"]))

    def leaf_at(self, position: int, tables: Tables) -> int | None:
        """Return the leaf of the event at a position; None where the log has a gap."""
        found = tables.one("tree.run-at", {"position": position})
        if found is None:
            return None
        leaf = int(found["leaf"]) + position - int(found["position"])
        return leaf if leaf < self.size(position, tables) else None

    def position_of(self, leaf: int, tables: Tables) -> int | None:
        """Return the position of the event with that leaf; None before the first event."""
        return _position(tables.one("tree.run-of", {"leaf": leaf}), leaf)

    def stored(self, tables: Tables) -> Stored:
        """Return the tiles as they are kept."""

        def tile(level: int, number: int) -> bytes:
            found = tables.one("tree.tile", {"level": level, "number": number})
            return b"" if found is None else bytes(found["data"])

        return tile

    def subtrees(self, tables: Tables) -> Subtree:
        """Return the complete subtrees, for roots and proofs."""
        return subtrees(remembered(self.stored(tables)))

    def root(self, size: int, tables: Tables) -> bytes:
        """Return the root of the first `size` leaves. Raises TileRefused when the tree has fewer."""
        return root(size, self.subtrees(tables))


class Runs:
    """Keeps which positions of the log the leaves stand for."""

    name = "tree_runs"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("tree.drop-runs")
        tables.run("tree.create-runs")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("tree.create-runs")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Do nothing: `Tree.fold` puts the rows."""


def entry(one: Recorded | Unread) -> bytes:
    """Return the leaf of an entry of the log. Raises ValueError for an event without its stored bytes."""
    if not isinstance(one, Recorded):
        found = one.entry
        return entry_of(found.position, found.stream, found.version, found.topic, found.state)
    if not one.state:
        raise ValueError(f"the event at position {one.position} came without its stored bytes")
    return entry_of(one.position, one.stream, one.version, one.event.topic, one.state)


def first_changed(tables: Tables) -> int | None:
    """Return the position of the first event whose leaf differs between the trees of `main` and `shadow`.

    `main` has the tree in use, `shadow` the tree that a replay made from the log. None when both are the
    same.
    """
    found = tables.one("tree.first-changed")
    if found is None:
        return None
    number = int(found["number"])
    stood, given = (_tile(tables.one(f"tree.{side}", {"number": number})) for side in ("stood", "given"))
    longer = max(len(stood), len(given))
    at = next(one for one in range(0, longer, HASH) if stood[one:][:HASH] != given[one:][:HASH])
    leaf = number * WIDTH + at // HASH
    positions = (
        _position(tables.one(f"tree.{side}-at", {"leaf": leaf}), leaf)
        for side, data in (("stood", stood), ("given", given))
        if at < len(data)
    )
    return min(one for one in positions if one is not None)


def _runs(after: int, size: int, positions: Sequence[int]) -> Iterator[dict[str, object]]:
    """Yield the runs that begin among the positions of a batch, which follow the position `after`."""
    if size and positions[-1] - after == len(positions):
        return
    before = after if size else -1  # the first event begins a run, at any position
    for at, position in enumerate(positions):
        if position != before + 1:
            yield {"position": position, "leaf": size + at}
        before = position


def _tile(found: Row | None) -> bytes:
    return b"" if found is None else bytes(found["data"])


def _position(run: Row | None, leaf: int) -> int | None:
    return None if run is None else int(run["position"]) + leaf - int(run["leaf"])
