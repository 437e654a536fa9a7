"""Whether a message counts as the word of a node: who has published and signed it, whether it is new."""

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
    from sealward.intake.reports.reading import Said

NEVER: Final = Turn(0, 0)
"""What stands for the last turn of a key that was never heard; no turn that counts is equal to it."""
KNOWN: Final = 10_000
"""Keys whose keyids are remembered."""
STATES: Final = (
    reports.Registration,
    reports.Heartbeat,
    reports.Inventory,
    reports.Firmware,
    reports.Enforcement,
    reports.Progress,
    reports.SetAside,
    reports.Wanted,
    reports.Leaving,
)
"""Reports that say how a node is: out of date as soon as the node has said anything later."""


class NoSender(SealwardError):
    """The message names no user of the broker as its sender: publish with the property user_id."""

    code = "report.no-sender"


class WrongSender(SealwardError):
    """The message speaks for another node than the one whose user at the broker has published it."""

    code = "report.wrong-sender"


class NotNewer(SealwardError):
    """The message is not newer than what was heard of its node last."""

    code = "report.not-newer"


class Again(SealwardError):
    """The message was worked on already: the broker, or the agent's client library, has sent it once more."""

    code = "report.again"


class LastTurns(Protocol):
    """Where the last turn of each key is kept."""

    def of(self, keyids: Collection[str]) -> dict[str, Turn]:
        """Return the last turns of those keys that were heard."""

    def keep(self, turns: Mapping[str, Turn]) -> None:
        """Keep later turns."""


class Senders:
    """Knows whom the broker vouches for. `own` is the control plane's user there; None without a broker.

    A message that the control plane's own user has published is a report that an operator has put back from
    the dead letters: it was the node's word when it came, so only its signature is looked at again.
    """

    def __init__(self, own: str | None) -> None:
        self._own = own

    def is_own(self, sender: str | None) -> bool:
        """Say whether a user of the broker is the control plane's own."""
        return sender == self._own

    def payer(self, message: Delivered | Said) -> str | None:
        """Return the user of the broker at whose expense a message is taken; None: it costs nobody anything.

        A message in the inbox of one user is at the expense of that user, whether or not it names a sender.
        """
        if self.is_own(message.sender):
            return None
        return message.inbox or message.sender or None

    def is_put_back(self, said: Said) -> bool:
        """Say whether an operator has put a message back."""
        return self._own is not None and said.sender == self._own

    def vouched(self, message: Delivered) -> None:
        """Make sure that the broker names the user who has published a message. Raises NoSender."""
        if self._own is not None and not message.sender:
            raise NoSender

    def check(self, said: Said) -> None:
        """Make sure that the broker's user is that of the node that speaks. Raises WrongSender."""
        if self._own is None or said.sender == self._own:
            return
        if said.sender != user_of(said.said.hostname):
            raise WrongSender


class Heard:
    """The last turns while a batch is decided; `news` are those that the batch has brought, by keyid."""

    def __init__(self, last: Mapping[str, Turn]) -> None:
        self._last = dict(last)
        self.news: dict[str, Turn] = {}

    def last(self, pem: str) -> Turn:
        """Return the last turn of a key (PEM)."""
        return self._last.get(keyid_of(pem), NEVER)

    def check(self, said: Said, pem: str) -> None:
        """Make sure that a message is newer than the last one under that key. Raises Again, NotNewer."""
        last, turn = self.last(pem), codec.turn_of(said.said)
        if turn > last and turn.seq:
            return
        if turn.boot and (said.redelivered or turn == last):
            raise Again
        raise NotNewer

    def note(self, said: Said, pem: str) -> None:
        """Know that a message was heard."""
        name = keyid_of(pem)
        self._last[name] = self.news[name] = codec.turn_of(said.said)


@functools.lru_cache(maxsize=KNOWN)
def keyid_of(pem: str) -> str:
    """Return the keyid of a public key (PEM). Raises KeyRefused."""
    return keyid(public_key(pem))
