"""Signed notes: a text, and the signatures of keys under it (c2sp.org/signed-note).

Signature types: Ed25519 (01), as a log signs, and Ed25519 with a time (04), as a witness cosigns
(c2sp.org/tlog-cosignature). Any other type is a signature of a key that is not known here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sealward.events.tlog.refusals import NoteRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
TYPES: Final = frozenset({ED25519, COSIGNATURE})
DASH: Final = "\N{EM DASH} "
MOST_SIGNATURES: Final = 100
"""Signatures of a note at most: golang.org/x/mod/sumdb/note takes no more."""
MOST_BYTES: Final = 1_000_000
"""Bytes of a note at most, as golang.org/x/mod/sumdb/note has it."""
ID_BYTES: Final = 4
TIME_BYTES: Final = 8
LAST_TIME: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature under a note: not verified yet."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line that stands under the note."""
        return f"{DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified signature: the name of its key, and the POSIX time of a cosignature, otherwise None."""

    name: str
    time: int | None


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name. Its text, a vkey, is a line `name+id+key`."""

    name: str
    type: int
    key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """Return the four bytes by which signatures name the key."""
        hashed = hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key.public_bytes_raw())
        return hashed.digest()[:ID_BYTES]

    def __str__(self) -> str:
        """Return the vkey."""
        key = base64.b64encode(bytes([self.type]) + self.key.public_bytes_raw()).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def verify(self, text: str, signature: bytes) -> Verified:
        """Verify a signature of this key. Raises NoteRefused."""
        time, message = None, text.encode()
        if self.type == COSIGNATURE:
            time, signature = _time_of(signature), signature[TIME_BYTES:]
            message = cosigned(text, time)
        try:
            self.key.verify(signature, message)
        except InvalidSignature as invalid:
            raise NoteRefused(f"the signature of {self.name!r} is not valid") from invalid
        return Verified(self.name, time)


class Sign(Protocol):
    """Signs the text of a note."""

    def __call__(self, text: str) -> Signature:
        """Return the signature."""


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text that ends with a newline, and the signatures under it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        """Return the note as it is written."""
        return self.text + "\n" + "".join(one.line() for one in self.signatures)

    def verified(self, known: Iterable[VerifierKey]) -> tuple[Verified, ...]:
        """Return the good signatures of known keys; signatures of other keys do not count.

        Raises NoteRefused when a known key's signature is not good, or no known key has signed.
        """
        keys = {(one.name, one.key_id): one for one in known}
        by = {(one.name, one.key_id): one for one in self.signatures if (one.name, one.key_id) in keys}
        if not by:
            raise NoteRefused("no known key has signed the note")
        return tuple(
            keys[one.name, one.key_id].verify(self.text, one.signature)
            for one in self.signatures
            if (one.name, one.key_id) in by
        )


def read_note(written: str) -> SignedNote:
    """Return a note from its text. Raises NoteRefused. No signature is verified."""
    if len(written.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise NoteRefused(f"a note has at most {MOST_BYTES:,} bytes")
    if any(("\ud800" <= one <= "\udfff") or (one < " " and one != "\n") for one in written):
        raise NoteRefused("a note is UTF-8 without control characters")
    text, separator, under = written.rpartition("\n\n")
    if not separator or not under.endswith("\n"):
        raise NoteRefused("a note has a text, an empty line, and lines of signatures")
    lines = under.removesuffix("\n").split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteRefused(f"a note has at most {MOST_SIGNATURES} signatures")
    return SignedNote(text + "\n", tuple(_signature(line) for line in lines))


def read_vkey(written: str) -> VerifierKey:
    """Return a public key from its vkey. Raises NoteRefused, also for a type that is not known here."""
    name, _, rest = written.partition("+")
    key_id, _, key = rest.partition("+")
    raw = _decoded(key)
    if not is_name(name) or not raw or raw[0] not in TYPES or len(raw) != 1 + 32:
        raise NoteRefused(f"{written[:200]!r} is no vkey of an Ed25519 key (types 01 and 04)")
    found = VerifierKey(name, raw[0], Ed25519PublicKey.from_public_bytes(raw[1:]))
    if found.key_id.hex() != key_id:
        raise NoteRefused(f"the id in the vkey of {name!r} is that of another key")
    return found


def is_name(name: str) -> bool:
    """Say whether a key may have a name: not empty, printable, without a space or plus sign."""
    return bool(name) and "+" not in name and all(one.isprintable() and not one.isspace() for one in name)


def signer(name: str, key: Ed25519PrivateKey) -> Sign:
    """Return a function that signs notes for a log."""
    key_id = VerifierKey(name, ED25519, key.public_key()).key_id
    return lambda text: Signature(name, key_id, key.sign(text.encode()))


def cosigner(name: str, key: Ed25519PrivateKey, time: int) -> Sign:
    """Return a function that cosigns checkpoints for a witness at a POSIX time in seconds."""
    key_id = VerifierKey(name, COSIGNATURE, key.public_key()).key_id
    stamp = time.to_bytes(TIME_BYTES, "big")
    return lambda text: Signature(name, key_id, stamp + key.sign(cosigned(text, time)))


def cosigned(text: str, time: int) -> bytes:
    """Return the bytes that a witness signs."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _time_of(signature: bytes) -> int:
    time = int.from_bytes(signature[:TIME_BYTES], "big")
    if len(signature) != TIME_BYTES + 64 or time > LAST_TIME:
        raise NoteRefused("the signature of a witness has a time and 64 bytes")
    return time


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    raw = _decoded(encoded)
    if not line.startswith(DASH) or not space or not is_name(name) or len(raw) <= ID_BYTES:
        raise NoteRefused("a line of a signature has an em dash, a name of a key, and base64")
    return Signature(name, raw[:ID_BYTES], raw[ID_BYTES:])


def _decoded(text: str) -> bytes:
    """Return the bytes of base64 text; no bytes when it is no base64, or not the canonical text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""
