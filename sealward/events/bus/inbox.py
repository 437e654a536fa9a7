"""An inbox at RabbitMQ: an exchange and a queue of the same name, bound to each other.

A user who may write to an exchange chooses the routing keys of its messages. So each sender that must not
hold up another sender has an exchange of its own, and no other user may write to that exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import amqp.exceptions

from sealward.events.bus.bus import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

OF_ONE_USER: Final = {
    "x-single-active-consumer": True,
    "x-max-length": 5_000,
    "x-max-length-bytes": 16 * 1024 * 1024,
    "x-overflow": "reject-publish",
}
"""The arguments of a queue that a single user fills. A full queue refuses messages, and the publisher learns
that from the broker's negative confirm (https://www.rabbitmq.com/docs/maxlength). A message that is larger
than the queue's limit is always refused."""
OF_MANY_USERS: Final = {"x-single-active-consumer": True}
"""The arguments of a queue that several users fill; a policy of the broker bounds it (docs/broker.md)."""
PREFETCH: Final = 10
"""How many messages of a user the broker delivers before any of them is acknowledged."""
LONGEST: Final = 255
"""Bytes of the longest name that AMQP 0-9-1 has for a queue."""
OTHERWISE: Final = 406
"""AMQP's code (precondition failed) when a queue or exchange was declared before with other arguments."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """An inbox by its name.

    `user` is the only user of the broker that may write to the inbox; None if several users may. If
    `is_read_by_one` is False, the broker gives the inbox's messages to several readers.
    """

    name: str
    user: str | None = None
    is_read_by_one: bool = True

    @property
    def prefetch(self) -> int:
        """Return how many messages of the inbox the broker delivers before any of them is acknowledged.

        The number is smaller for an inbox of a single user, so that a flood from this user is a small part of
        a batch.
        """
        return BATCH if self.user is None and self.is_read_by_one else PREFETCH

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of its queue."""
        if self.user is not None:
            return dict(OF_ONE_USER)
        return dict(OF_MANY_USERS) if self.is_read_by_one else {}


class Maker:
    """Makes and deletes inboxes; `channel` opens a channel of the connection. For one thread.

    The broker closes a channel with each refusal. Then the next request goes over a new channel.
    """

    def __init__(self, channel: Callable[[], Any]) -> None:
        self._open = channel
        self._channel: Any = None

    def make(self, name: str, inbox: Inbox) -> None:
        """Make an inbox of that full name, unless it exists.

        An inbox that another version declared with other arguments is deleted with its messages and made
        anew. Raises amqp.exceptions.ChannelError.
        """
        try:
            self._make(name, inbox)
        except amqp.exceptions.ChannelError as refused:
            if refused.code != OTHERWISE or inbox.user is None:
                raise
            self.delete(name)
            self._make(name, inbox)

    def delete(self, name: str) -> None:
        """Delete an inbox with its messages. Raises amqp.exceptions.ChannelError."""
        self._ask("queue_delete", name)
        self._ask("exchange_delete", name)

    def _make(self, name: str, inbox: Inbox) -> None:
        self._ask("queue_declare", name, durable=True, auto_delete=False, arguments=inbox.arguments)
        self._ask("exchange_declare", name, "direct", durable=True, auto_delete=False)
        self._ask("queue_bind", name, name, name)

    def _ask(self, method: str, *words: object, **more: object) -> None:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._open()
        getattr(self._channel, method)(*words, **more)
