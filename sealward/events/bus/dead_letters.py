"""The dead letters: messages that could not be worked on, with the reason, until somebody looks at them.

Whoever may write to their inbox can lay a message there and say where it came from. So a letter goes back
only when the control plane's own user has set it aside, which RabbitMQ vouches for (`user_id`), and only to
an inbox.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import amqp.exceptions
import kombu

from sealward.events.bus.bus import DEAD_LETTERS
from sealward.events.bus.connection import connect, reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.events.bus.tls import Tls

INBOXES: Final = ("reports", "orders")
"""The inboxes that letters go back to, and those of one user each, whose names go on with a full stop."""
NOT_FOUND: Final = 404
"""AMQP's code when a queue is not there."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it was; `queue` is where it came from, `at` (ISO 8601) when it was laid here.

    `sender` is the user of the broker who had published it. Where the letter `is_ours` the control plane has
    set it aside; else all but the body is what somebody else says.
    """

    letter_id: str
    queue: str
    reason: str
    detail: str
    at: str
    body: bytes
    sender: str = ""
    is_ours: bool = False


class DeadLetters:
    """Looks at them, puts them back, drops them; whoever is not chosen stays, in the order of arrival.

    The user of `url` is the control plane's: what that user has set aside is ours.
    """

    def __init__(self, url: str, tls: Tls | None = None, namespace: str = "sealward") -> None:
        self._connection = connect(url, tls)
        self._user = str(self._connection.userid or "")
        self._queue = f"{namespace}.{DEAD_LETTERS}"
        self._inboxes = tuple(f"{namespace}.{one}" for one in INBOXES)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.release()

    def all(self) -> list[DeadLetter]:
        """Return what lies there. Raises BusUnavailable."""
        with self._gotten() as messages:
            return [self._letter(one) for one in messages]

    def replay(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Put the chosen ones back into the inboxes they came from; return those.

        What is not ours, what did not come from an inbox, and what came from an inbox that is gone or full,
        stays where it is. Raises BusUnavailable.
        """
        return self._take(lambda one: self.goes_back(one) and chosen(one), self._put_back)

    def goes_back(self, letter: DeadLetter) -> bool:
        """Say whether a letter may be put back."""
        return letter.is_ours and any(
            letter.queue == one or letter.queue.startswith(f"{one}.") for one in self._inboxes
        )

    def drop(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Drop the chosen ones for good. Raises BusUnavailable."""
        return self._take(chosen, lambda _: True)

    def _take(
        self, chosen: Callable[[DeadLetter], bool], act: Callable[[DeadLetter], bool]
    ) -> list[DeadLetter]:
        taken = []
        with self._gotten() as messages:
            for message in messages:
                letter = self._letter(message)
                if chosen(letter) and act(letter):
                    message.ack()
                    taken.append(letter)
        return taken

    def _put_back(self, letter: DeadLetter) -> bool:
        """Put a letter into its inbox; say whether the inbox is there, and takes it."""
        try:
            with self._connection.channel() as channel:
                kombu.Producer(channel).publish(
                    letter.body,
                    exchange=letter.queue,  # an inbox is an exchange and a queue of one name
                    routing_key=letter.queue,
                    user_id=self._user,
                    content_type="application/json",
                    content_encoding="binary",
                    delivery_mode=2,
                    mandatory=True,
                )
        except amqp.exceptions.MessageNacked:
            return False
        except self._connection.channel_errors as refused:
            if getattr(refused, "code", None) != NOT_FOUND:
                raise
            return False
        return True

    def _letter(self, message: Any) -> DeadLetter:  # noqa: ANN401 - kombu has no types
        headers, body = message.headers, message.body
        return DeadLetter(
            letter_id=str(message.properties.get("message_id", "")),
            queue=str(headers.get("sealward-queue", "")),
            reason=str(headers.get("sealward-reason", "")),
            detail=str(headers.get("sealward-detail", "")),
            at=str(headers.get("sealward-at", "")),
            body=body.encode() if isinstance(body, str) else bytes(body),
            sender=str(headers.get("sealward-sender", "")),
            is_ours=bool(self._user) and message.properties.get("user_id") == self._user,
        )

    @contextlib.contextmanager
    def _gotten(self) -> Iterator[list[Any]]:
        """Give every message there is; those not acknowledged go back when the channel is closed."""
        with reachable(self._connection), self._connection.channel() as channel:
            yield list(self._get_all(channel))

    def _get_all(self, channel: Any) -> Iterator[Any]:  # noqa: ANN401 - kombu has no types
        queue = kombu.Queue(self._queue, channel=channel)
        try:
            while (message := queue.get()) is not None:
                yield message
        except self._connection.channel_errors as refused:
            if getattr(refused, "code", None) != NOT_FOUND:
                raise
