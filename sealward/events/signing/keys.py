"""Ed25519 keys, one for the authority and one for each node: PKCS #8 PEM files for their owner alone."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sealward.error import SealwardError

if TYPE_CHECKING:
    from pathlib import Path


BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
END: Final = "-----END PUBLIC KEY-----"
KNOWN: Final = 10_000
"""Public keys that are remembered: a node's is needed for each of its reports."""


class KeyRefused(SealwardError, ValueError):
    """The file holds no Ed25519 key in PEM form."""

    code = "key.refused"


def private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key at `path`. When the file is missing, make a key and the file, mode 0600.

    Two processes that start at once end with the same key: the file appears whole or not at all.
    Raises KeyRefused when the file holds no private key of this kind, and OSError.
    """
    if not path.exists():
        _make(path)
    key = _loaded(path.read_bytes(), path, private=True)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(f"{path}: not an Ed25519 private key in PEM form")
    return key


@functools.lru_cache(maxsize=KNOWN)
def public_key(pem: bytes | str) -> Ed25519PublicKey:
    """Return the public key of a PEM text. Raises KeyRefused."""
    key = _loaded(pem.encode() if isinstance(pem, str) else pem, "public key", private=False)
    if not isinstance(key, Ed25519PublicKey):
        raise KeyRefused("public key: not an Ed25519 key in PEM form")
    return key


def public_keys(text: str) -> tuple[str, ...]:
    """Return the public keys of a text, each as the PEM text that `public_pem` gives. Raises KeyRefused."""
    blocks = text.split(END)
    if blocks.pop().strip() or not all(one.lstrip().startswith(BEGIN) for one in blocks):
        raise KeyRefused("public keys: something stands between the PEM blocks")
    return tuple(public_pem(public_key(block.lstrip() + END)) for block in blocks)


def public_pem(key: Ed25519PublicKey) -> str:
    """Return the PEM text (SubjectPublicKeyInfo) of a public key."""
    encoded = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode("ascii")


def publish(key: Ed25519PublicKey, path: Path) -> None:
    """Write the PEM text of a public key to a file that all users may read."""
    pem = public_pem(key)
    if not path.exists() or path.read_text(encoding="ascii") != pem:
        path.write_text(pem, encoding="ascii")


def _loaded(pem: bytes, source: object, *, private: bool) -> object:
    try:
        if private:
            return serialization.load_pem_private_key(pem, password=None)
        return serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as unreadable:
        raise KeyRefused(f"{source}: not an Ed25519 key in PEM form") from unreadable


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: both use its key
    finally:
        draft.unlink()
