"""Checks whether a message counts as a node's own: which user published it, and whether its turn is new."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Protocol

from sealward.error import SealwardError
from sealward.events.bus.permissions import user_of
from sealward.events.signing.keyid import keyid
from sealward.events.signing.keys import public_key
from sealward.protocol import codec, reports
from sealward.protocol.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sealward.events.bus.message import Delivered
    from sealward.intake.reports.decoding import DecodedMessage

NEVER: Final = Turn(0, 0)
"""The last turn of a key that has signed no message yet. Every valid turn is greater."""
KNOWN: Final = 10_000
"""Keys whose keyids are cached."""
STATES: Final = (
    reports.Registration,
    reports.Heartbeat,
    reports.Inventory,
    reports.Firmware,
    reports.Enforcement,
    reports.Software,
    reports.Progress,
    reports.SetAside,
    reports.Wanted,
    reports.Leaving,
)
"""Reports about the present state of a node: out of date when they are put back from the dead letters."""


class NoSender(SealwardError):
    """The message names no user of the broker as its sender: publish with the property user_id."""

    code = "report.no-sender"


class WrongSender(SealwardError):
    """The message speaks for another node than the node whose user at the broker published it."""

    code = "report.wrong-sender"


class NotNewer(SealwardError):
    """The message is not newer than the last message of its node."""

    code = "report.not-newer"


class Again(SealwardError):
    """The message was worked on already: the broker, or the agent's client library, has sent it once more."""

    code = "report.again"


class LastTurns(Protocol):
    """Storage of the last turn of each key."""

    def of(self, keyids: Collection[str]) -> dict[str, Turn]:
        """Return the last turns of the keys that have any, by keyid."""

    def keep(self, turns: Mapping[str, Turn]) -> None:
        """Store later turns, by keyid."""


class Senders:
    """Checks which user of the broker published a message.

    `own` is the control plane's user at the broker; None stands for no broker. A message that the control
    plane's own user has published is a report that an operator has put back from the dead letters. It passed
    these checks when it first came, so only its signature is verified again.
    """

    def __init__(self, own: str | None) -> None:
        self._own = own

    def is_own(self, sender: str | None) -> bool:
        """Say whether a user of the broker is the control plane's own."""
        return sender == self._own

    def payer(self, message: Delivered | DecodedMessage) -> str | None:
        """Return the user of the broker whose quota a message counts against; None: no quota.

        A message in the inbox of a user counts against that user's quota, whether or not it names a sender.
        """
        if self.is_own(message.sender):
            return None
        return message.inbox or message.sender or None

    def is_put_back(self, said: DecodedMessage) -> bool:
        """Say whether an operator has put a message back."""
        return self._own is not None and said.sender == self._own

    def vouched(self, message: Delivered) -> None:
        """Raise NoSender if the message does not name the user of the broker who published it."""
        if self._own is not None and not message.sender:
            raise NoSender

    def check(self, said: DecodedMessage) -> None:
        """Raise WrongSender if the user of the broker is not that of the node in the message."""
        if self._own is None or said.sender == self._own:
            return
        if said.sender != user_of(said.said.hostname):
            raise WrongSender


class Heard:
    """The last turns while a batch is decided. `news` has the turns of messages of the batch, by keyid."""

    def __init__(self, last: Mapping[str, Turn]) -> None:
        self._last = dict(last)
        self.news: dict[str, Turn] = {}

    def last(self, pem: str) -> Turn:
        """Return the last turn of a key (PEM)."""
        return self._last.get(keyid_of(pem), NEVER)

    def check(self, said: DecodedMessage, pem: str) -> None:
        """Raise Again or NotNewer if a message is not newer than the last message under the key (PEM)."""
        last, turn = self.last(pem), codec.turn_of(said.said)
        if turn > last and turn.seq:
            return
        if turn.boot and (said.redelivered or turn == last):
            raise Again
        raise NotNewer

    def note(self, said: DecodedMessage, pem: str) -> None:
        """Note the turn of a message that counts."""
        name = keyid_of(pem)
        self._last[name] = self.news[name] = codec.turn_of(said.said)


@functools.lru_cache(maxsize=KNOWN)
def keyid_of(pem: str) -> str:
    """Return the keyid of a public key (PEM). Raises KeyRefused."""
    return keyid(public_key(pem))
