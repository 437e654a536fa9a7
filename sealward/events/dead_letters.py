"""The dead letters: messages that could not be worked on, with the reason, until somebody looks at them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import kombu

from sealward.events.bus import DEAD_LETTERS, connect, reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.events.tls import Tls

NOT_FOUND: Final = 404
"""AMQP's code when a queue is not there."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it was; `queue` is where it came from, `at` (ISO 8601) when it was laid here."""

    letter_id: str
    queue: str
    reason: str
    detail: str
    at: str
    body: bytes


class DeadLetters:
    """Looks at them, puts them back, drops them; whoever is not chosen stays, in the order of arrival."""

    def __init__(self, url: str, tls: Tls | None = None, namespace: str = "sealward") -> None:
        self._connection = connect(url, tls)
        self._queue = f"{namespace}.{DEAD_LETTERS}"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.release()

    def all(self) -> list[DeadLetter]:
        """Return what lies there. Raises BusUnavailable."""
        with self._gotten() as messages:
            return [_letter(one) for one in messages]

    def replay(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Put the chosen ones back into the queues they came from. Raises BusUnavailable."""
        return self._take(chosen, self._put_back)

    def drop(self, chosen: Callable[[DeadLetter], bool]) -> list[DeadLetter]:
        """Drop the chosen ones for good. Raises BusUnavailable."""
        return self._take(chosen, lambda _: None)

    def _take(
        self, chosen: Callable[[DeadLetter], bool], act: Callable[[DeadLetter], None]
    ) -> list[DeadLetter]:
        taken = []
        with self._gotten() as messages:
            for message in messages:
                letter = _letter(message)
                if chosen(letter):
                    act(letter)
                    message.ack()
                    taken.append(letter)
        return taken

    def _put_back(self, letter: DeadLetter) -> None:
        kombu.Producer(self._connection).publish(
            letter.body,
            exchange="",
            routing_key=letter.queue,
            content_type="application/json",
            content_encoding="binary",
            delivery_mode=2,
            mandatory=True,
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


def _letter(message: Any) -> DeadLetter:  # noqa: ANN401 - kombu has no types
    headers = message.headers
    body = message.body
    return DeadLetter(
        letter_id=str(message.properties.get("message_id", "")),
        queue=str(headers.get("sealward-queue", "")),
        reason=str(headers.get("sealward-reason", "")),
        detail=str(headers.get("sealward-detail", "")),
        at=str(headers.get("sealward-at", "")),
        body=body.encode() if isinstance(body, str) else bytes(body),
    )
