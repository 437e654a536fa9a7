"""The notary signs a checkpoint when the log has grown, unless it contradicts the checkpoint before."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sealward.control.checkpoints import SignedCheckpoint
from sealward.events.loop import Loop
from sealward.events.tlog.checkpoint import Checkpoint
from sealward.events.tlog.note import ED25519, SignedNote, VerifierKey, signer
from sealward.events.tlog.refusals import TileRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.control.checkpoints import Checkpoints
    from sealward.events.store.leader import Leader
    from sealward.events.store.store import EventStore
    from sealward.projections.store.database import Projections
    from sealward.projections.store.tables import Tables

log = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between two checkpoints at least."""
THIN_EVERY: Final = timedelta(hours=1)
WHOLE_FOR: Final = timedelta(days=1)
"""How long each checkpoint is kept; of older checkpoints the last of each hour is kept."""
BEHIND: Final = "log.behind"
"""The log is shorter than a tree that was signed: a backup was restored, or events were deleted."""
INCONSISTENT: Final = "log.inconsistent"
"""The log is not the log that was signed: an event was changed, deleted or inserted."""


@dataclass(frozen=True, slots=True)
class TreeStatus:
    """The size of the tree over the log, and why the tree does not continue the last checkpoint, if so."""

    size: int
    problem: str | None


def tree_status(
    store: EventStore, projections: Projections, tables: Tables, last: SignedCheckpoint | None
) -> TreeStatus:
    """Compare the tree with the last checkpoint. Rows that are not at the log's end yet are no problem."""
    position = projections.position(tables)
    size = projections.tree.size(position, tables)
    if last is None:
        return TreeStatus(size, None)
    if size < last.size:
        return TreeStatus(size, BEHIND if position >= store.head() else None)
    try:
        is_same = projections.tree.root(last.size, tables) == last.root
    except TileRefused:
        is_same = False
    return TreeStatus(size, None if is_same else INCONSISTENT)


class Notary:
    """A thread that signs the log's checkpoints, as long as it leads."""

    def __init__(  # noqa: PLR0913, PLR0917 - the log, its rows, where checkpoints are kept, the key and its name
        self,
        store: EventStore,
        projections: Projections,
        checkpoints: Checkpoints,
        origin: str,
        key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        leader: Leader | None = None,
    ) -> None:
        self._store = store
        self._projections = projections
        self._checkpoints = checkpoints
        self._origin = origin
        self._sign = signer(origin, key)
        self._vkey = str(VerifierKey(origin, ED25519, key.public_key()))
        self._clock = clock
        self._thinned = clock()
        self._said: str | None = None
        self._loop = Loop("notary", self.check, "checkpoints wait", leader=leader, every=EVERY, first=0.0)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End."""
        self._loop.stop()

    def check(self) -> None:
        """Sign a checkpoint when the tree has grown since the last checkpoint. Raises StoreUnavailable."""
        last = self._checkpoints.last()
        with self._projections.snapshot() as tables:
            found = tree_status(self._store, self._projections, tables, last)
            self._say(found.problem)
            if found.problem is not None or found.size <= (0 if last is None else last.size):
                return
            root = self._projections.tree.root(found.size, tables)
        self._checkpoints.follow(last, self._signed(found.size, root))
        self._thin()

    def _signed(self, size: int, root: bytes) -> SignedCheckpoint:
        text = Checkpoint(self._origin, size, root).text()
        note = SignedNote(text, (self._sign(text),))
        return SignedCheckpoint(size, root, str(note), self._vkey, self._clock())

    def _say(self, problem: str | None) -> None:
        if problem is not None and problem != self._said:
            log.error("nothing is signed: %s; see docs/operations.md#sealwardlogchanged", problem)
        self._said = problem

    def _thin(self) -> None:
        now = self._clock()
        if now - self._thinned >= THIN_EVERY:
            self._thinned = now
            self._checkpoints.thin(now - WHOLE_FOR)
