"""The join file: it carries an invitation's secret and the authority's public key to a host."""

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
"""Length of an Ed25519 secret in bytes."""


class JoinRefused(SealwardError, ValueError):
    """The file is not a join file. `sealward node enroll HOSTNAME` writes a join file."""

    code = "join.refused"


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a host's join file.

    `secret` is an Ed25519 secret: it signs the host's first registration. The control plane has only the
    public half of that key, and the time at which the invitation expires. `authority` is the public key (PEM)
    that signs every message from the control plane to the node.
    """

    hostname: str
    secret: Annotated[bytes, msgspec.Meta(min_length=SEED, max_length=SEED)]
    authority: str

    def __repr__(self) -> str:
        """Return a text without the secret, so that no log or traceback shows the secret."""
        return f"Join(hostname={self.hostname!r})"

    @property
    def key(self) -> Ed25519PrivateKey:
        """Return the private key that signs the host's first registration."""
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @property
    def invitation(self) -> str:
        """Return the public half (PEM) of `key`: the log knows the invitation by this text."""
        return public_pem(self.key.public_key())


def read(path: Path) -> Join:
    """Return the content of a join file. Raises JoinRefused, KeyRefused, OSError."""
    try:
        join = typed.decode(path.read_bytes(), Join)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as unreadable:
        raise JoinRefused(f"{path}: not a join file: {unreadable}") from unreadable
    public_key(join.authority)
    return join


def write(join: Join, path: Path) -> None:
    """Write a join file with mode 0600. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(join)) + b"\n")
