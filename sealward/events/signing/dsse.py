"""DSSE v1: a payload, its type, and signatures over both. Apart from its JSON, which takes longer to load.

https://github.com/secure-systems-lab/dsse (protocol.md)
"""

from __future__ import annotations

import binascii
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature

from sealward.error import SealwardError
from sealward.events.signing.keyid import keyid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class NotVerified(SealwardError, ValueError):
    """The envelope lacks the valid signature of a key that must have signed it."""

    code = "envelope.not-verified"


@dataclass(frozen=True, slots=True)
class Signature:
    """The bytes that a key made over an envelope. `keyid` is an unauthenticated hint which key it was."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its type and the signatures made over both."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the JSON object of the specification, standard base64."""
        return {
            "payload": _base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": one.keyid, "sig": _base64(one.sig)} for one in self.signatures],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, the bytes that are signed (protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(envelope: Envelope, key: Ed25519PrivateKey) -> Envelope:
    """Return the envelope with the key's signature added. Signing again with the same key changes nothing."""
    made = Signature(_keyid_of(key), key.sign(pae(envelope.payload_type, envelope.payload)))
    if made in envelope.signatures:
        return envelope
    return Envelope(envelope.payload, envelope.payload_type, (*envelope.signatures, made))


@functools.lru_cache(maxsize=8)
def _keyid_of(key: Ed25519PrivateKey) -> str:
    """Return the id of a key that signs; a process signs with few keys, again and again."""
    return keyid(key.public_key())


def verify(envelope: Envelope, keys: Iterable[Ed25519PublicKey]) -> bytes:
    """Return the payload when **each** of the keys has signed it.

    The caller knows whether these are the right keys, and how to read the payload.
    Raises NotVerified, which names the first key that has not signed.
    """
    trusted = tuple(keys)
    if not trusted:
        raise NotVerified("no key was given to verify with")
    signed = pae(envelope.payload_type, envelope.payload)
    for key in trusted:
        if not any(_made_by(key, one.sig, signed) for one in envelope.signatures):
            raise NotVerified(f"no valid signature of key {keyid(key)}")
    return envelope.payload


def verify_any(envelope: Envelope, keys: Iterable[Ed25519PublicKey]) -> bytes:
    """Return the payload when **at least one** of the keys has signed it. Raises NotVerified."""
    signed = pae(envelope.payload_type, envelope.payload)
    if not any(_made_by(key, one.sig, signed) for key in keys for one in envelope.signatures):
        raise NotVerified("no valid signature of a key that is believed")
    return envelope.payload


def _made_by(key: Ed25519PublicKey, sig: bytes, signed: bytes) -> bool:
    try:
        key.verify(sig, signed)
    except InvalidSignature:
        return False
    return True


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
