"""A node's keys: the one in use, and beside it the next one, until an administrator has named that."""

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
    """Keys in memory. `current` signs all that the node says; any thread may read it."""

    def __init__(self, current: Ed25519PrivateKey, following: Ed25519PrivateKey | None = None) -> None:
        self.current = current
        self._following = following

    @property
    def pem(self) -> str:
        """Return the public key (PEM) of the one in use."""
        return public_pem(self.current.public_key())

    def following(self) -> Ed25519PrivateKey | None:
        """Return the next key, if one was made."""
        return self._following

    def offer(self, following: Ed25519PrivateKey) -> None:
        """Have a next key."""
        self._following = following

    def turn(self, number: int) -> Ed25519PrivateKey:
        """Return the key to ask with for the `number`th time, from 0: which one counts may not be known."""
        following = self.following()
        return self.current if following is None or number % 2 == 0 else following

    def take(self, pem: str) -> bool:
        """Take the next key into use if it is that one; say whether it was. The one before is gone then."""
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
    """Keys in files of a folder, for their owner alone; the one in use is made when it is missing.

    Which one is in use changes by one rename: whoever dies before or after it starts with a whole key.
    Raises KeyRefused, OSError.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(private_key(folder / IN_USE))
        self._folder = folder
        publish(self.current.public_key(), folder / "key.pub")

    def following(self) -> Ed25519PrivateKey | None:
        """Return the next key, if one was made: perhaps just now, by another process."""
        path = self._folder / NEXT
        try:
            return private_key(path) if path.exists() else None
        except (KeyRefused, OSError) as unreadable:
            log.warning("the next key is not used: %s", unreadable)
            return None

    def make_next(self) -> str:
        """Make the next key, once; return its public key (PEM). Raises KeyRefused, OSError."""
        return public_pem(private_key(self._folder / NEXT).public_key())

    def _settle(self, following: Ed25519PrivateKey) -> None:
        os.replace(self._folder / NEXT, self._folder / IN_USE)  # noqa: PTH105 - the call that has to be atomic
        _sync(self._folder)
        publish(following.public_key(), self._folder / "key.pub")


def _sync(folder: Path) -> None:
    """Have the renaming outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
