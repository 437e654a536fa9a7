"""DSSE v1 envelopes as JSON: the reader for untrusted text.

https://github.com/secure-systems-lab/dsse (envelope.md)
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from sealward.error import SealwardError
from sealward.events import typed
from sealward.events.signing.dsse import Envelope, NotVerified, Signature, pae, sign, verify, verify_any

__all__ = [
    "Envelope",
    "EnvelopeRefused",
    "NotVerified",
    "Signature",
    "pae",
    "parse",
    "sign",
    "verify",
    "verify_any",
]

MAX_SIGNATURES = 16


class EnvelopeRefused(SealwardError, ValueError):
    """The text is no DSSE envelope."""

    code = "envelope.malformed"


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


class _Signature(msgspec.Struct, frozen=True):
    """A signature as the specification has it in JSON; `sig` in base64, which msgspec decodes."""

    sig: bytes
    keyid: str | None = None


class _Fields(msgspec.Struct, frozen=True, rename="camel"):
    """An envelope as the specification has it in JSON; `payload` in base64, which msgspec decodes."""

    payload: bytes
    payload_type: str
    signatures: Annotated[list[_Signature], msgspec.Meta(max_length=MAX_SIGNATURES)]


class _SignatureText(msgspec.Struct, frozen=True):
    """A signature in base64 of the standard or the URL-safe alphabet."""

    sig: str
    keyid: str | None = None


class _FieldsText(msgspec.Struct, frozen=True, rename="camel"):
    """An envelope in base64 of the standard or the URL-safe alphabet."""

    payload: str
    payload_type: str
    signatures: Annotated[list[_SignatureText], msgspec.Meta(max_length=MAX_SIGNATURES)]


_STANDARD: Final = typed.decoder(_Fields)
"""Reads base64 of the standard alphabet, which most envelopes use, in one pass over the text."""
_ANY: Final = typed.decoder(_FieldsText)


def _standard(text: bytes | str | Mapping[str, object]) -> Envelope:
    read = typed.convert(text, _Fields) if isinstance(text, Mapping) else _STANDARD.decode(text)
    signatures = tuple([Signature(one.keyid or "", one.sig) for one in read.signatures])
    return Envelope(read.payload, read.payload_type, signatures)


def _of_any_alphabet(text: bytes | str | Mapping[str, object]) -> Envelope:
    read = typed.convert(text, _FieldsText) if isinstance(text, Mapping) else _ANY.decode(text)
    signatures = tuple([Signature(one.keyid or "", _decoded(one.sig)) for one in read.signatures])
    return Envelope(_decoded(read.payload), read.payload_type, signatures)


def _decoded(value: str) -> bytes:
    standard = value.replace("-", "+").replace("_", "/")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
