"""The signed checkpoints of the log, kept beside the log: a rebuild of rows leaves checkpoints alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sealward.control.database import NameTaken

if TYPE_CHECKING:
    from sealward.control.database import ControlDatabase


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it was signed."""

    size: int
    """Leaves of the tree."""
    root: bytes
    note: str
    """The signed note (c2sp.org/tlog-checkpoint)."""
    vkey: str
    """The public key that verifies the note."""
    signed_at: datetime


class Checkpoints:
    """The signed checkpoints, as a chain: two checkpoints never follow the same checkpoint.

    Therefore two processes that sign at once cannot make the chain fork.
    """

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    def last(self) -> SignedCheckpoint | None:
        """Return the checkpoint of the largest tree. Raises StoreUnavailable."""
        rows, _ = self._database.run("last-checkpoint")
        if not rows:
            return None
        size, root, note, vkey, signed_at = rows[0]
        return SignedCheckpoint(int(size), bytes.fromhex(root), note, vkey, datetime.fromisoformat(signed_at))

    def follow(self, last: SignedCheckpoint | None, new: SignedCheckpoint) -> bool:
        """Keep a checkpoint that follows `last`; return False when another checkpoint follows it already.

        Raises StoreUnavailable.
        """
        previous = -1 if last is None else last.size
        values = (new.size, previous, new.root.hex(), new.note, new.vkey, new.signed_at.isoformat())
        try:
            self._database.run("follow-checkpoint", values)
        except NameTaken:
            return False
        return True

    def thin(self, before: datetime) -> None:
        """Forget checkpoints that were signed before a time, but the last of each hour."""
        self._database.run("thin-checkpoints", (before.isoformat(),))
