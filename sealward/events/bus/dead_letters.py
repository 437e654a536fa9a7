"""The dead letters: messages that could not be processed, with the reason, until an operator handles them.

A user who may write to the exchange of the dead letters can publish a forged letter that names any queue as
its source. So a letter goes back only when the control plane's own user published the letter, which RabbitMQ
vouches for (`user_id`), and only to an inbox.
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
"""The inboxes that letters go back to. An inbox of one user has a name that goes on with a full stop."""
NOT_FOUND: Final = 404
"""AMQP's code when a queue is not there."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it was. `queue` is the queue that it came from, `at` (ISO 8601) when it became a letter.

    `sender` is the broker's user that published the message. `is_ours` says that the control plane's user
    published the letter. In other letters all fields but `body` are claims of an unknown publisher.
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
    """Lists dead letters, puts them back, drops them. Other letters stay, in the order of arrival.

    The user of `url` is the control plane's user: a letter that this user has published is ours.
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
        """Return all dead letters. Raises BusUnavailable."""
        with self._gotten() as messages:
            return [self._letter(one) for one in messages]

    def replay(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Put the chosen letters back into the inboxes that they came from; return the letters put back.

        A letter stays a dead letter when it is not ours, when it did not come from an inbox, or when its
        inbox is gone or full. Raises BusUnavailable.
        """
        return self._take(lambda one: self.goes_back(one) and chosen(one), self._put_back)

    def goes_back(self, letter: DeadLetter) -> bool:
        """Say whether a letter may be put back."""
        return letter.is_ours and any(
            letter.queue == one or letter.queue.startswith(f"{one}.") for one in self._inboxes
        )

    def drop(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Drop the chosen letters for good; return the dropped letters. Raises BusUnavailable."""
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
        """Put a letter into its inbox. Return False when the inbox is gone or full."""
        try:
            with self._connection.channel() as channel:
                kombu.Producer(channel).publish(
                    letter.body,
                    exchange=letter.queue,  # an inbox's exchange and queue have the same name
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
        """Give all messages of the queue. Messages that the caller does not acknowledge stay in the queue."""
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
