"""The file that brings an invitation to a node: its secret, and the key that the node is to believe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.error import SealwardError
from sealward.events import typed
from sealward.events.signing.keys import public_key, public_pem

if TYPE_CHECKING:
    from pathlib import Path

SEED = 32
"""Bytes of an Ed25519 secret."""


class JoinRefused(SealwardError, ValueError):
    """The file is no invitation. `sealward node enroll HOSTNAME` writes one."""

    code = "join.refused"


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """A host's invitation. `secret` signs its registration, once; `authority` (PEM) signs what it is told.

    The node has the secret, the control plane its public half alone, and until when it counts.
    """

    hostname: str
    secret: Annotated[bytes, msgspec.Meta(min_length=SEED, max_length=SEED)]
    authority: str

    def __repr__(self) -> str:
        """Return it without its secret."""
        return f"Join(hostname={self.hostname!r})"

    @property
    def key(self) -> Ed25519PrivateKey:
        """Return the key that signs the registration."""
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @property
    def invitation(self) -> str:
        """Return that key's public half (PEM)."""
        return public_pem(self.key.public_key())


def read(path: Path) -> Join:
    """Return the invitation in a file. Raises JoinRefused, KeyRefused, OSError."""
    try:
        join = typed.decode(path.read_bytes(), Join)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as unreadable:
        raise JoinRefused(f"{path}: no invitation: {unreadable}") from unreadable
    public_key(join.authority)
    return join


def write(join: Join, path: Path) -> None:
    """Write an invitation to a file for its owner alone. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(join)) + b"\n")
