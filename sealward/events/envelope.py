"""DSSE v1 envelopes: a payload, its type, and signatures over both.

https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md)
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature

from sealward.events.keyid import keyid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_SIGNATURES = 16


class EnvelopeRefused(ValueError):
    """The text is no DSSE envelope."""

    code = "envelope.malformed"


class NotVerified(ValueError):
    """The envelope lacks the valid signature of a key that must have signed it."""

    code = "envelope.not-verified"


@dataclass(frozen=True, slots=True)
class Signature:
    """The bytes that a key made over an envelope; `keyid` is a hint that nothing vouches for."""

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
            "payload": base64.b64encode(self.payload).decode("ascii"),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode("ascii")}
                for one in self.signatures
            ],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, the bytes that are signed (protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(envelope: Envelope, key: Ed25519PrivateKey) -> Envelope:
    """Return the envelope with the key's signature added; signing twice with one key changes nothing."""
    made = Signature(keyid(key.public_key()), key.sign(pae(envelope.payload_type, envelope.payload)))
    if made in envelope.signatures:
        return envelope
    return replace(envelope, signatures=(*envelope.signatures, made))


def verify(envelope: Envelope, keys: Iterable[Ed25519PublicKey]) -> bytes:
    """Return the payload when **every** one of the keys has signed it.

    Whether these are the right keys, and what the payload means, is for the caller to know.
    Raises NotVerified, naming the first key that has not signed.
    """
    trusted = tuple(keys)
    if not trusted:
        raise NotVerified("no key was given to verify with")
    signed = pae(envelope.payload_type, envelope.payload)
    for key in trusted:
        if not any(_made_by(key, one.sig, signed) for one in envelope.signatures):
            raise NotVerified(f"no valid signature of key {keyid(key)}")
    return envelope.payload


def parse(text: bytes | str | Mapping[str, object]) -> Envelope:
    """Return the envelope that a JSON text or object holds.

    Unknown fields are ignored and both base64 alphabets taken, as the specification asks.
    Raises EnvelopeRefused.
    """
    try:
        try:
            return _standard(text)
        except msgspec.ValidationError:  # the other alphabet, or no padding
            return _of_any_alphabet(text)
    except (ValueError, msgspec.MsgspecError, RecursionError) as unreadable:
        raise EnvelopeRefused(f"not readable: {unreadable}") from unreadable


Bytes = TypeVar("Bytes", bytes, str)


class _Signature(msgspec.Struct, Generic[Bytes], frozen=True):
    """A signature as the specification has it in JSON; `sig` in base64."""

    sig: Bytes
    keyid: str | None = None


class _Fields(msgspec.Struct, Generic[Bytes], frozen=True, rename="camel"):
    """An envelope as the specification has it in JSON; `payload` in base64: as bytes it is decoded."""

    payload: Bytes
    payload_type: str
    signatures: Annotated[list[_Signature[Bytes]], msgspec.Meta(max_length=MAX_SIGNATURES)]


_STANDARD: Final = msgspec.json.Decoder(_Fields[bytes])
"""The alphabet that nearly everybody uses, in one pass over the text."""
_ANY: Final = msgspec.json.Decoder(_Fields[str])


def _standard(text: bytes | str | Mapping[str, object]) -> Envelope:
    read = msgspec.convert(text, _Fields[bytes]) if isinstance(text, Mapping) else _STANDARD.decode(text)
    signatures = tuple(Signature(one.keyid or "", one.sig) for one in read.signatures)
    return Envelope(read.payload, read.payload_type, signatures)


def _of_any_alphabet(text: bytes | str | Mapping[str, object]) -> Envelope:
    read = msgspec.convert(text, _Fields[str]) if isinstance(text, Mapping) else _ANY.decode(text)
    signatures = tuple(Signature(one.keyid or "", _decoded(one.sig)) for one in read.signatures)
    return Envelope(_decoded(read.payload), read.payload_type, signatures)


def _made_by(key: Ed25519PublicKey, sig: bytes, signed: bytes) -> bool:
    try:
        key.verify(sig, signed)
    except InvalidSignature:
        return False
    return True


def _decoded(value: str) -> bytes:
    standard = value.replace("-", "+").replace("_", "/")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
