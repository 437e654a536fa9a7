"""Registration of an agent: its questions, the keys that sign them, and the answers."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from sealward.events.node import NodeKeyReplaced
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key, public_pem
from sealward.protocol import reports

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.base import Event
    from sealward.node_agent.ledger.keyring import Keyring

log = logging.getLogger(__name__)

UNHEARD: Final = 5.0
"""Seconds after which an agent asks again when a question is not answered."""
LONGEST: Final = 60.0
"""The longest time between two questions that are not answered, in seconds."""
SOON: Final = 3
"""Questions that are asked before the agent waits longer and says that it is not answered."""
REMEMBERED: Final = 64
"""How many of the last questions may still be answered."""


class Registration:
    """The questions of one agent. An answer to an earlier agent of the node is refused: it may be too old."""

    def __init__(self, hostname: str, keyring: Keyring, invitation: Ed25519PrivateKey | None = None) -> None:
        self._hostname = hostname
        self._keyring = keyring
        self._invitation = invitation
        """A key that signs questions as well, until the node is let in."""
        self._asked: dict[str, str] = {}
        """By nonce the public key (PEM) of the key that signed the question."""
        self._own: deque[str] = deque(maxlen=REMEMBERED)
        """The nonces of this agent's questions, also of questions that were answered."""
        self._unanswered = 0
        """How many questions in a row were not answered."""
        self.ended = False
        """Whether the node was removed. An administrator may let it in again, so it asks now and then."""

    @property
    def patience(self) -> float:
        """Return the seconds until the agent asks again: from the fourth question on ever more."""
        return min(LONGEST, UNHEARD * 2.0 ** max(0, self._unanswered - SOON))

    @property
    def keyid(self) -> str:
        """Return the id of the node's key."""
        return keyid(public_key(self._keyring.pem))

    @property
    def waits(self) -> bool:
        """Say whether a question is not answered yet."""
        return bool(self._asked)

    def ask(self, moment: datetime) -> tuple[reports.Registration, *tuple[Ed25519PrivateKey, ...]]:
        """Return a question and the keys that sign it: the node's keys in turn, and the invitation's key.

        The moment is the nonce: all agents that a node ever has get ever later moments from its ledger.
        """
        nonce = moment.isoformat()
        self._own.append(nonce)
        key = self._keyring.turn(len(self._asked))
        pem = self._asked[nonce] = public_pem(key.public_key())
        invited = () if self._invitation is None else (self._invitation,)
        return reports.Registration(hostname=self._hostname, public_key=pem, nonce=nonce), key, *invited

    def sent(self) -> None:
        """Count a question that has reached the broker; say when the questions before were not answered."""
        if self._unanswered >= SOON:
            log.warning(
                "the control plane has not answered %d registrations of %s with the key %s; asking again in "
                "%.0f s. Either no worker runs, or the host is not let in under this key: see the log of the "
                "worker, and GET /healthcheck?detailed. `sealward node enroll %s` invites the host.",
                self._unanswered,
                self._hostname,
                self.keyid,
                self.patience,
                self._hostname,
            )
        self._unanswered += 1

    def has_another_key(self, event: Event) -> bool:
        """Take the next key into use when an event names it; say whether the event does.

        This holds before the agent is registered, too: a question under the old key is not accepted.
        """
        if not isinstance(event, NodeKeyReplaced) or not self._keyring.take(event.public_key):
            return False
        log.info("%s uses its new key, %s", self._hostname, event.keyid)
        return True

    def is_answered_by(self, nonce: str) -> bool:
        """Say whether an answer with that nonce is to a question of this agent.

        A question may be answered twice. The second answer counts as well: it may have a newer state.
        """
        return nonce in self._own

    def is_asked(self, nonce: str) -> bool:
        """Say whether the question with that nonce is not answered yet."""
        return nonce in self._asked

    def answered(self, nonce: str) -> None:
        """Close all questions. The key that signed the answered question is the key in use from now on."""
        self._keyring.take(self._asked.get(nonce, ""))
        self._asked.clear()
        self._unanswered = 0
        self._invitation = None
        self.ended = False

    def end(self) -> None:
        """Note that the node was removed."""
        self.ended = True
        log.error("%s was removed: until an administrator lets it in again it is not heard", self._hostname)
