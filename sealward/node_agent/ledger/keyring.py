"""The keys of a node: the key in use and, until an administrator has named it, the next key."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from sealward.events.signing.keys import KeyRefused, private_key, public_pem, publish

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = logging.getLogger(__name__)

IN_USE: Final = "key.pem"
NEXT: Final = "key-next.pem"


class Keyring:
    """Keys in memory. `current` signs the reports of the node; any thread may read it."""

    def __init__(self, current: Ed25519PrivateKey, following: Ed25519PrivateKey | None = None) -> None:
        self.current = current
        self._following = following

    @property
    def pem(self) -> str:
        """Return the public key (PEM) of the key in use."""
        return public_pem(self.current.public_key())

    def following(self) -> Ed25519PrivateKey | None:
        """Return the next key, or None if no next key was made."""
        return self._following

    def offer(self, following: Ed25519PrivateKey) -> None:
        """Set the next key."""
        self._following = following

    def turn(self, number: int) -> Ed25519PrivateKey:
        """Return the key for question `number`, from 0: the node may not know which key is registered."""
        following = self.following()
        return self.current if following is None or number % 2 == 0 else following

    def take(self, pem: str) -> bool:
        """Take the next key into use if its public key is `pem`; say whether it is. Delete the key before."""
        following = self.following()
        if following is None or public_pem(following.public_key()) != pem:
            return False
        self._settle(following)
        self.current = following
        return True

    def _settle(self, following: Ed25519PrivateKey) -> None:
        del following
        self._following = None


class KeyFolder(Keyring):
    """Keys in files of a folder that their owner alone can read. A missing key is made.

    One rename replaces the key in use, so a process that dies meanwhile finds a whole key at its next start.
    Raises KeyRefused, OSError.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(private_key(folder / IN_USE))
        self._folder = folder
        publish(self.current.public_key(), folder / "key.pub")

    def following(self) -> Ed25519PrivateKey | None:
        """Return the next key, if there is one: another process may have made it just now."""
        path = self._folder / NEXT
        try:
            return private_key(path) if path.exists() else None
        except (KeyRefused, OSError) as unreadable:
            log.warning("the next key is not used: %s", unreadable)
            return None

    def make_next(self) -> str:
        """Make the next key, unless there is one; return its public key (PEM). Raises KeyRefused, OSError."""
        return public_pem(private_key(self._folder / NEXT).public_key())

    def _settle(self, following: Ed25519PrivateKey) -> None:
        os.replace(self._folder / NEXT, self._folder / IN_USE)  # noqa: PTH105 - the call that has to be atomic
        _sync(self._folder)
        publish(following.public_key(), self._folder / "key.pub")


def _sync(folder: Path) -> None:
    """Have a rename outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
