"""Why a note, a proof, a tile or a policy is refused."""

from __future__ import annotations

from sealward.error import SealwardError


class NoteRefused(SealwardError, ValueError):
    """The text is no signed note, or no signature of a known key stands under it."""

    code = "tlog.note-refused"


class CheckpointRefused(SealwardError, ValueError):
    """The note is no checkpoint of a log."""

    code = "tlog.checkpoint-refused"


class ProofRefused(SealwardError, ValueError):
    """The proof does not show that the entry or the smaller tree is in the tree."""

    code = "tlog.proof-refused"


class TileRefused(SealwardError, ValueError):
    """The path names no tile, or the bytes are no tile or entry bundle."""

    code = "tlog.tile-refused"


class PolicyRefused(SealwardError, ValueError):
    """The text is no trust policy; the message names the line."""

    code = "tlog.policy-refused"


class RecordRefused(SealwardError, ValueError):
    """The bytes are no record of an event."""

    code = "tlog.record-refused"
