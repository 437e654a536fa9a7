"""The authority's keys that a node trusts: they are pinned, and only a trusted key can name other keys."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealward.error import SealwardError
from sealward.events.signing.keys import KeyRefused, public_key, public_keys, public_pem
from sealward.protocol import telling
from sealward.protocol.desired import Desired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sealward.node_agent.ledger.ledger import Ledger

log = logging.getLogger(__name__)

PINNED: Final = "authority.pub"
"""The file in the agent's folder with the public keys (PEM) that are trusted, one after the other."""
QUIET_FOR: Final = 60.0
"""Seconds in which messages that are refused for one reason are counted and not logged again."""


UNKNOWN: Final = (
    "this node knows no key of the authority: name its invitation in SEALWARD_JOIN_FILE (`sealward node "
    "invite` makes one), or set SEALWARD_AUTHORITY_AT_FIRST_SIGHT=yes (docs/broker.md says what that costs)"
)


class AuthorityUnknown(SealwardError):
    """This node knows no key of the authority, so it trusts no message."""

    code = "authority.unknown"


class Trust:
    """The authority's public keys (PEM) in memory. For any thread.

    With `at_first_sight`, a node that knows no key trusts the key of the first answer to its registration.
    `refused` counts the messages that were ignored, by the code of the reason.
    """

    def __init__(
        self,
        pems: Iterable[str] = (),
        *,
        at_first_sight: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pems = tuple(pems)
        self._at_first_sight = at_first_sight
        self._clock = clock
        self._lock = threading.Lock()
        self._logged: dict[str, float] = {}
        self.refused: Counter[str] = Counter()

    @property
    def pems(self) -> tuple[str, ...]:
        """Return the keys that are trusted."""
        return self._pems

    def unsealed(self, body: bytes, hostname: str) -> telling.Told | None:
        """Return what the authority tells that node; None where the message is to be ignored.

        Raises ToldUnreadable.
        """
        try:
            return telling.unseal(body, hostname, self._keys(body))
        except telling.ToldUnreadable as unreadable:
            self._refuse(unreadable.code, str(unreadable))
            raise
        except (telling.NotTold, KeyRefused) as refused:
            self._refuse(refused.code, str(refused))
            return None

    def take(self, desired: Desired) -> tuple[Ed25519PublicKey, ...]:
        """Trust the keys that an answer names, and no others; return the keys that sign references.

        The answer was signed with a trusted key. Raises KeyRefused where a text is no key, and OSError where
        the keys cannot be stored; then the trusted keys stay as they were.
        """
        speaking = tuple(dict.fromkeys((desired.authority, *desired.beside)))
        signers = tuple(public_key(one) for one in dict.fromkeys((*speaking, *desired.earlier)))
        if speaking != self._pems:
            self._keep(speaking)
            log.warning("%d keys of the authority are believed from now on", len(speaking))
            self._pems = speaking
        return signers

    def _keys(self, body: bytes) -> tuple[Ed25519PublicKey, ...]:
        pems = self._pems
        if not pems and self._at_first_sight:
            message = telling.unverified(body).message
            pems = (message.authority,) if isinstance(message, Desired) else ()
        return tuple(public_key(one) for one in pems)

    def _refuse(self, code: str, why: str) -> None:
        """Count a message that is ignored; log it, unless such a message was logged within QUIET_FOR."""
        with self._lock:
            self.refused[code] += 1
            now = self._clock()
            if now - self._logged.get(code, -QUIET_FOR) < QUIET_FOR:
                return
            self._logged[code] = now
        log.error("a message is ignored (%s, %d so far): %.200r", code, self.refused[code], why)

    def _keep(self, pems: tuple[str, ...]) -> None:
        """Store the keys, so that they outlive this process."""


class PinnedTrust(Trust):
    """Keys in a file of the agent's folder. Raises AuthorityUnknown, KeyRefused, OSError.

    Where there is no file, the keys that `given` returns (PEM) are pinned. From then on, only messages of the
    authority change the file.
    """

    def __init__(
        self, folder: Path, given: Callable[[], str | None] = lambda: None, *, at_first_sight: bool = False
    ) -> None:
        self._path = folder / PINNED
        if not self._path.exists() and (text := given()) is not None:
            pin(folder, text)
        pinned = self._path.read_text(encoding="ascii") if self._path.exists() else ""
        super().__init__(public_keys(pinned), at_first_sight=at_first_sight)
        if not self.pems and not at_first_sight:
            raise AuthorityUnknown(UNKNOWN)

    def _keep(self, pems: tuple[str, ...]) -> None:
        _write(self._path, "".join(pems))


def believed_before(ledger: Ledger) -> str | None:
    """Return the keys (PEM) that an agent trusted before keys were pinned, as its ledger has them."""
    raw = (ledger.fact("signers") or "").split()
    return "".join(public_pem(Ed25519PublicKey.from_public_bytes(bytes.fromhex(one))) for one in raw) or None


def pin(folder: Path, text: str) -> None:
    """Pin public keys (PEM) of the authority for the agent with that folder. Raises KeyRefused, OSError."""
    pems = public_keys(text)
    if not pems:
        raise KeyRefused("no public key in PEM form")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / PINNED, "".join(pems))


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, so that it outlives a power cut."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
