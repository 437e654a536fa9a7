"""Trust policies: which logs are trusted, and which witnesses must have cosigned (c2sp.org/tlog-policy)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.events.tlog.checkpoint import read_checkpoint
from sealward.events.tlog.note import COSIGNATURE, ED25519, VerifierKey, read_vkey
from sealward.events.tlog.refusals import NoteRefused, PolicyRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealward.events.tlog.note import SignedNote

NONE: Final = "none"
COUNT: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
MOST_LINES: Final = 10_000
MOST_BYTES: Final = 1_000_000
FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Characters that no policy has: ASCII's control characters but tab and newline."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of witnesses: a number of its members must have witnessed a checkpoint.

    A member is a witness or another group.
    """

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Trusted logs by their origin, witnesses and groups by their names in the policy, and the quorum."""

    logs: Mapping[str, tuple[VerifierKey, ...]]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, Group]
    quorum: str
    """The witness or group that must have witnessed a checkpoint; `none` when no witness is needed."""

    def accept(self, note: SignedNote) -> tuple[str, ...]:
        """Return the names of the witnesses whose cosignatures of a checkpoint are good.

        Raises NoteRefused when no trusted log has signed the note, CheckpointRefused when the note is no
        checkpoint, PolicyRefused when its witnesses do not reach the quorum.
        """
        origin = read_checkpoint(note).origin
        keys = self.logs.get(origin)
        if keys is None:
            raise NoteRefused(f"the policy names no log {origin!r}")
        note.verified(keys)
        cosigned = self._cosigned(note)
        if self.quorum != NONE and not self._is_witnessed(self.quorum, cosigned):
            has = ", ".join(sorted(cosigned)) or "no witness"
            raise PolicyRefused(f"{has} cosigned the checkpoint: not enough for the quorum {self.quorum!r}")
        return tuple(sorted(cosigned))

    def _cosigned(self, note: SignedNote) -> set[str]:
        by_key = {(key.name, key.key_id): name for name, key in self.witnesses.items()}
        under = [one for one in note.signatures if (one.name, one.key_id) in by_key]
        if under:
            note.verified(self.witnesses.values())
        return {by_key[one.name, one.key_id] for one in under}

    def _is_witnessed(self, name: str, cosigned: set[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._is_witnessed(member, cosigned) for member in group.members) >= group.needed


@dataclass(slots=True)
class _Draft:
    """A policy as far as its lines have been read."""

    logs: dict[str, tuple[VerifierKey, ...]] = field(default_factory=dict)
    witnesses: dict[str, VerifierKey] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None
    keys: set[tuple[str, bytes]] = field(default_factory=set)
    """Keys of logs and of witnesses. A key may occur only once, also under different names."""
    members: set[str] = field(default_factory=set)
    """Names that are members of a group. A name may be a member only once."""


def read_policy(written: str) -> TrustPolicy:
    """Return a policy from its text. Raises PolicyRefused, which names the line."""
    if len(written) > MOST_BYTES or FORBIDDEN.search(written) is not None:
        raise PolicyRefused("a policy is text without control characters, of at most 1 MB")
    lines = written.split("\n")
    if len(lines) > MOST_LINES:
        raise PolicyRefused(f"a policy has at most {MOST_LINES:,} lines")
    draft = _Draft()
    for number, line in enumerate(lines, 1):
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            try:
                _read_line(draft, words)
            except (NoteRefused, PolicyRefused) as refused:
                raise PolicyRefused(f"line {number}: {refused}") from refused
    if draft.quorum is None:
        raise PolicyRefused("a policy has a line with its quorum: `quorum none` when no witness is needed")
    return TrustPolicy(draft.logs, draft.witnesses, draft.groups, draft.quorum)


def _read_line(draft: _Draft, words: Sequence[str]) -> None:
    match words:
        case ["log", vkey] | ["log", vkey, _]:
            _read_log(draft, vkey)
        case ["witness", name, vkey] | ["witness", name, vkey, _]:
            _read_witness(draft, name, vkey)
        case ["group", name, needed, *members] if members:
            _read_group(draft, name, needed, members)
        case ["quorum", name]:
            _read_quorum(draft, name)
        case _:
            raise PolicyRefused(f"{' '.join(words)[:100]!r} is no line of a policy")


def _read_log(draft: _Draft, vkey: str) -> None:
    key = read_vkey(vkey)
    if key.type != ED25519:
        raise PolicyRefused("the key of a log has the type 01")
    _once(draft, "log", key)
    draft.logs[key.name] = (*draft.logs.get(key.name, ()), key)


def _read_witness(draft: _Draft, name: str, vkey: str) -> None:
    key = read_vkey(vkey)
    if key.type != COSIGNATURE:
        raise PolicyRefused("the key of a witness has the type 04")
    _once(draft, "witness", key)
    _new(draft, name)
    draft.witnesses[name] = key


def _read_group(draft: _Draft, name: str, needed: str, members: Sequence[str]) -> None:
    _new(draft, name)
    for member in members:
        if member not in draft.witnesses and member not in draft.groups:
            raise PolicyRefused(f"no line before names {member!r}")
        if member in draft.members:
            raise PolicyRefused(f"{member!r} is a member already")
        draft.members.add(member)
    draft.groups[name] = Group(_needed(needed, len(members)), tuple(members))


def _read_quorum(draft: _Draft, name: str) -> None:
    if draft.quorum is not None:
        raise PolicyRefused("a policy has one line with its quorum")
    if name != NONE and name not in draft.witnesses and name not in draft.groups:
        raise PolicyRefused(f"no line before names {name!r}")
    draft.quorum = name


def _needed(written: str, members: int) -> int:
    if written in {"any", "all"}:
        return 1 if written == "any" else members
    if COUNT.fullmatch(written) is None or int(written) > members:
        raise PolicyRefused(f"a group of {members} needs any, all, or 1 to {members} of them")
    return int(written)


def _new(draft: _Draft, name: str) -> None:
    if name == NONE or name in draft.witnesses or name in draft.groups:
        raise PolicyRefused(f"the name {name!r} is taken")


def _once(draft: _Draft, of: str, key: VerifierKey) -> None:
    seen = (of, key.key.public_bytes_raw())
    if seen in draft.keys:
        raise PolicyRefused(f"the key of {key.name!r} is there already")
    draft.keys.add(seen)
