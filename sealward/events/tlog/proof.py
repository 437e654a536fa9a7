"""Proofs that an entry is in a log, for verification offline (c2sp.org/tlog-proof)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.tlog.checkpoint import read_checkpoint, read_hash
from sealward.events.tlog.merkle import leaf_hash, verify_inclusion
from sealward.events.tlog.note import SignedNote, read_note
from sealward.events.tlog.refusals import CheckpointRefused, ProofRefused

if TYPE_CHECKING:
    from sealward.events.tlog.checkpoint import Checkpoint
    from sealward.events.tlog.policy import TrustPolicy

HEADER: Final = "c2sp.org/tlog-proof@v1"
INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)
MOST_HASHES: Final = 64


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """An entry's index, the hashes up to the root, and the checkpoint with its signatures."""

    index: int
    hashes: tuple[bytes, ...]
    note: SignedNote

    def __str__(self) -> str:
        """Return the proof as it is written to a `.tlog-proof` file."""
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.hashes)
        return f"{HEADER}\nindex {self.index}\n{hashes}\n{self.note}"

    def verify(self, entry: bytes, policy: TrustPolicy) -> Checkpoint:
        """Check that the entry is in a log that the policy trusts; return the checkpoint that shows it.

        Raises NoteRefused, CheckpointRefused, PolicyRefused and ProofRefused.
        """
        policy.accept(self.note)
        checkpoint = read_checkpoint(self.note)
        verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.hashes, checkpoint.root)
        return checkpoint


def read_proof(written: str) -> InclusionProof:
    """Return a proof from its text. Raises ProofRefused and NoteRefused. Nothing is verified.

    A line `extra` is ignored, because it is not authenticated.
    """
    head, separator, note = written.partition("\n\n")
    first, *lines = head.split("\n")
    if first != HEADER or not separator:
        raise ProofRefused(f"a proof begins with the line {HEADER}")
    if lines and lines[0].startswith("extra "):
        del lines[0]
    index = INDEX.fullmatch(lines[0]) if lines else None
    if index is None or len(lines) > 1 + MOST_HASHES:
        raise ProofRefused(f"a proof has a line with an index, and at most {MOST_HASHES} hashes")
    try:
        hashes = tuple(read_hash(line) for line in lines[1:])
    except CheckpointRefused as no_hash:
        raise ProofRefused(str(no_hash)) from no_hash
    return InclusionProof(int(index[1]), hashes, read_note(note))
