"""Checkpoints: the signed note in which a log says its size and its root (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.tlog.merkle import HASH
from sealward.events.tlog.note import is_name
from sealward.events.tlog.refusals import CheckpointRefused

if TYPE_CHECKING:
    from sealward.events.tlog.note import SignedNote

SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and the root hash of a log at one moment."""

    origin: str
    """The name of the log, and of the key that signs for it."""
    size: int
    """Leaves of the tree."""
    root: bytes

    def text(self) -> str:
        """Return the text that is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def read_checkpoint(note: SignedNote) -> Checkpoint:
    """Return the checkpoint of a note. Raises CheckpointRefused.

    Extension lines are refused: no log of Sealward writes them, and no witness is answerable for them.
    """
    lines = note.text.removesuffix("\n").split("\n")
    if len(lines) != LINES or not is_name(lines[0]) or SIZE.fullmatch(lines[1]) is None:
        raise CheckpointRefused("a checkpoint has three lines: origin, size, root")
    return Checkpoint(lines[0], int(lines[1]), read_hash(lines[2]))


def read_hash(text: str) -> bytes:
    """Return the hash that a line of base64 holds. Raises CheckpointRefused."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as no_base64:
        raise CheckpointRefused("a hash is 32 bytes in base64") from no_base64
    if len(found) != HASH or base64.b64encode(found).decode() != text:
        raise CheckpointRefused("a hash is 32 bytes in base64")
    return found
