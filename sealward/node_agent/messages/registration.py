"""How an agent makes itself known: what it asks, with which key, and which answer is its own."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from sealward.events.node import NodeKeyReplaced
from sealward.events.signing.keys import public_pem
from sealward.protocol import reports

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.base import Event
    from sealward.node_agent.ledger.keyring import Keyring

log = logging.getLogger(__name__)

REMEMBERED: Final = 64
"""Questions, the last ones, whose answers may still be on their way."""


class Registration:
    """What one agent asks until it is answered; an answer to an agent before this one knows too little."""

    def __init__(self, hostname: str, keyring: Keyring, invitation: Ed25519PrivateKey | None = None) -> None:
        self._hostname = hostname
        self._keyring = keyring
        self._invitation = invitation
        """The key that signs as well, until the node is let in."""
        self._asked: dict[str, str] = {}
        """By nonce the key (PEM) that was asked with."""
        self._own: deque[str] = deque(maxlen=REMEMBERED)
        """The nonces that this agent asked with, also those that wait no more."""
        self.ended = False
        """Whether the node was removed: it may be let in again, but there is no hurry to ask."""

    @property
    def waits(self) -> bool:
        """Say whether no answer has come yet."""
        return bool(self._asked)

    def ask(self, moment: datetime) -> tuple[reports.Registration, *tuple[Ed25519PrivateKey, ...]]:
        """Return what to say, and the keys to say it with: the next one in turn, and the invitation's.

        No two moments of a node are the same, whoever its agent was.
        """
        nonce = moment.isoformat()
        self._own.append(nonce)
        key = self._keyring.turn(len(self._asked))
        pem = self._asked[nonce] = public_pem(key.public_key())
        invited = () if self._invitation is None else (self._invitation,)
        return reports.Registration(hostname=self._hostname, public_key=pem, nonce=nonce), key, *invited

    def has_another_key(self, event: Event) -> bool:
        """Take the next key into use when an event names it; say whether it is.

        Also before this agent is registered: with the key before it never would be.
        """
        if not isinstance(event, NodeKeyReplaced) or not self._keyring.take(event.public_key):
            return False
        log.info("%s uses its new key, %s", self._hostname, event.keyid)
        return True

    def is_answered_by(self, nonce: str) -> bool:
        """Say whether an answer that repeats that nonce is for this agent: nothing else is an answer.

        Of two answers the second may come as one to a question that the first has answered: it may say more.
        """
        return nonce in self._own

    def is_asked(self, nonce: str) -> bool:
        """Say whether this agent asked with that nonce and waits for the answer."""
        return nonce in self._asked

    def answered(self, nonce: str) -> None:
        """Wait no more; a key that was heard under is the one in use."""
        self._keyring.take(self._asked.get(nonce, ""))
        self._asked.clear()
        self._invitation = None
        self.ended = False

    def end(self) -> None:
        """Know that the node was removed."""
        self.ended = True
        log.error("%s was removed: until an administrator lets it in again it is not heard", self._hostname)
