"""The id of an Ed25519 public key. Not in `keys`, because verifying needs neither PEM nor files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DER: Final = bytes.fromhex("302a300506032b6570032100")
"""The bytes before the 32 bytes of a key in its SubjectPublicKeyInfo (RFC 8410, section 4)."""


def keyid(key: Ed25519PublicKey) -> str:
    """Return SHA-256 hex of the key's SubjectPublicKeyInfo in DER form."""
    return hashlib.sha256(DER + key.public_bytes_raw()).hexdigest()
