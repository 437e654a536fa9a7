"""Verifies an export offline in steps, from the signatures of the checkpoint to the verdicts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sealward.audit.folder import ExportRefused
from sealward.commands.writer.soundness import Soundness
from sealward.events.base import Recorded
from sealward.events.set_aside import Unread
from sealward.events.tlog.checkpoint import read_checkpoint
from sealward.events.tlog.merkle import leaf_hash, root
from sealward.events.tlog.note import read_note
from sealward.events.tlog.refusals import CheckpointRefused, NoteRefused, PolicyRefused
from sealward.events.tlog.tiles import Tile, appended, subtrees, width_at
from sealward.events.verdict import NEVER
from sealward.events.wire import codec
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sealward.audit.folder import Bundle, Folder
    from sealward.events.base import Stored
    from sealward.events.tlog.checkpoint import Checkpoint
    from sealward.events.tlog.policy import TrustPolicy
    from sealward.events.tlog.tiles import Stored as Hashes

    Tiles = dict[tuple[int, int], bytes]
    """Tiles by level and number, each with the hashes that it has so far."""

SHOWN: Final = 20
"""Problems of a step that are listed; the others are counted."""


@dataclass(slots=True)
class Step:
    """A step of a verification: the name, the finding, and the problems."""

    name: str
    found: str = ""
    problems: list[str] = field(default_factory=list)
    count: int = 0
    """How many problems there are; `problems` has the first."""

    def wrong(self, problem: str) -> None:
        """Note a problem."""
        self.count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that are decided by reading each event once."""

    tree: Step = field(default_factory=lambda: Step("tree"))
    events: Step = field(default_factory=lambda: Step("events"))
    sound: Step = field(default_factory=lambda: Step("soundness"))


def verify(
    folder: Folder, policy: TrustPolicy, progress: Callable[[int], object] = lambda _: None
) -> Iterator[Step]:
    """Verify an export step by step; a step whose subject is not there is the last.

    `progress` hears of every bundle how many events it had.
    """
    step, checkpoint = _checkpoint(folder, policy)
    yield step
    if checkpoint is None:
        return
    steps = Steps()
    try:
        _log(folder, checkpoint, steps, progress)
    except ExportRefused as refused:
        steps.tree.wrong(str(refused))
    yield from (steps.tree, steps.events, steps.sound)
    if not steps.tree.count and not steps.events.count:
        yield _verdicts(folder, checkpoint)


def _checkpoint(folder: Folder, policy: TrustPolicy) -> tuple[Step, Checkpoint | None]:
    """Check the signatures under the checkpoint."""
    step = Step("checkpoint")
    try:
        note = read_note(folder.checkpoint())
        witnesses = policy.accept(note)
        checkpoint = read_checkpoint(note)
    except (ExportRefused, NoteRefused, CheckpointRefused, PolicyRefused) as refused:
        step.wrong(str(refused))
        return step, None
    step.found = f"{checkpoint.origin} has signed {checkpoint.size} events; witnesses: " + (
        ", ".join(witnesses) or "none"
    )
    return step, checkpoint


def _log(folder: Folder, checkpoint: Checkpoint, steps: Steps, progress: Callable[[int], object]) -> None:
    """Look at each event once: its leaf, its bytes, and whether it fits to the events before it."""
    tiles: Tiles = {}
    soundness, size = Soundness(), 0
    for bundle in folder.bundles(checkpoint.size):
        tiles.pop((0, bundle.number - 1), None)  # it was compared, and its hash is in the tile above
        leaves = [leaf_hash(entry) for entry in bundle.entries]
        tiles.update(appended(size, leaves, _kept(tiles)))
        size += len(leaves)
        _compare(folder, (0, bundle.number), tiles, checkpoint.size, steps.tree)
        _check_events(bundle, steps, soundness)
        progress(len(leaves))
    for key in tiles:
        if key[0]:
            _compare(folder, key, tiles, checkpoint.size, steps.tree)
    if root(size, subtrees(_kept(tiles))) != checkpoint.root:
        steps.tree.wrong("the entries lead to another root than that of the checkpoint")
    steps.tree.found = f"{size} entries, root {checkpoint.root.hex()}"
    steps.events.found = f"the bytes of {size - steps.events.count} events are those that the tree has"
    steps.sound.found = f"{len(soundness.streams)} streams, each with all of its events in order"


def _compare(folder: Folder, key: tuple[int, int], tiles: Tiles, size: int, step: Step) -> None:
    """Compare a tile with its file."""
    tile = Tile(*key)
    tile = Tile(*key, width=width_at(tile, size))
    try:
        if folder.tile(tile.path) != tiles[key]:
            step.wrong(f"tile/{tile.path}: not the hashes of the entries")
    except ExportRefused as missing:
        step.wrong(str(missing))


def _check_events(bundle: Bundle, steps: Steps, soundness: Soundness) -> None:
    """Compare the bytes of events with their records, and each event with the events before it."""
    for record, stored in bundle.stored():
        where = f"event {record.position} ({record.topic})"
        if hashlib.sha256(stored.state).hexdigest() != record.digest:
            steps.events.wrong(f"{where}: states/{bundle.name} has other bytes than the tree")
            continue
        flaw = soundness.flaw(stored)
        if flaw is not None:
            steps.sound.wrong(f"{where}: {flaw}")


def _kept(tiles: Tiles) -> Hashes:
    def kept(level: int, number: int) -> bytes:
        return tiles.get((level, number), b"")

    return kept


def _verdicts(folder: Folder, checkpoint: Checkpoint) -> Step:
    """Derive each verdict again, from the events alone, as of the last event."""
    step = Step("verdicts")
    with TemporaryDirectory(prefix="sealward-audit-") as scratch:
        projections = Projections(SqliteBackend(Path(scratch) / "rows.sqlite"), only=("signs",))
        try:
            log = ExportedLog(folder, checkpoint.size)
            for _ in projections.catch_up(log):
                pass
            with projections.reading() as tables:
                tally = projections.signs.tally(tables, log.last_at)
        finally:
            projections.close()
    step.found = ", ".join(f"{one.signs} {verdict}" for verdict, one in sorted(tally.items())) or "no signs"
    step.found += f" as of {log.last_at.isoformat()}"
    return step


class ExportedLog:
    """The events of an export, as the projections read the log."""

    def __init__(self, folder: Folder, size: int) -> None:
        self._folder = folder
        self._size = size
        self.last_at = NEVER
        """The time of the last event that was read."""

    def batches(self, after: int, limit: int) -> Generator[list[Recorded | Unread], None, None]:
        """Give all events, bundle by bundle; events that cannot be read in their place."""
        del after, limit
        for bundle in self._folder.bundles(self._size):
            batch = [_readable(stored) for _, stored in bundle.stored()]
            times = (one.event.timestamp for one in batch if isinstance(one, Recorded))
            self.last_at = max(times, default=self.last_at)
            yield batch


def _readable(stored: Stored) -> Recorded | Unread:
    try:
        return codec.read(stored)
    except codec.EventRefused as refused:
        return Unread(stored, refused)
