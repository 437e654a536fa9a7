"""The bus between control plane and nodes: `memory://` within one process, or RabbitMQ, both through kombu.

The bus delivers each message at least once, and the messages of a queue in order. A message is acknowledged
after its reader has processed it, or after the message is safely among the dead letters.

Nodes publish only on exchanges of the control plane, never on the default exchange: a user who may write to
the default exchange can write to every queue (RabbitMQ, "Access control", and seen on 3.10.8).
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

import kombu

from sealward.events.bus.connection import BusUnavailable, InboxClosed, as_sender, connect, reachable
from sealward.events.bus.consumer import Consumer
from sealward.events.bus.message import one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealward.events.bus.message import OnBatch, OnMessage
    from sealward.events.bus.tls import Tls

DEAD_LETTERS: Final = "dead-letters"
"""The inbox of messages that can never be processed."""
BATCH: Final = 300
"""The greatest number of messages that a reader gets together."""
CLOSED: Final = (312, 403, 404)
"""AMQP's reply codes for an exchange without a queue, a forbidden exchange, and a missing exchange."""


class Bus:
    """Publishes on one connection, and makes consumers with connections of their own. Safe for many threads.

    The name of every queue and exchange begins with `namespace`, because all buses of `memory://` in a
    process share their queues.
    """

    def __init__(self, url: str, namespace: str = "sealward", tls: Tls | None = None) -> None:
        self._in_memory = url.startswith("memory:")
        self._connection = connect(url, tls)
        self.user: str | None = None if self._in_memory else self._connection.userid
        """This process's user at the broker: the sender of every message that this bus publishes."""
        self._namespace = namespace
        self.prefix = f"{namespace}."
        """The beginning of the names of all queues and exchanges."""
        self._events = kombu.Exchange(f"{namespace}.events", "topic", durable=True)
        self._lock = threading.Lock()
        self._producer: Any = None

    def send(self, queue: str, body: bytes) -> None:
        """Put a message into a queue, and declare the queue first. Raises BusUnavailable."""
        named = self._queue(queue)
        self._publish(body, exchange="", routing_key=named.name, declare=[named])

    def submit(self, inbox: str, body: bytes) -> None:
        """Put a message into an inbox that another process reads. Raises InboxClosed, BusUnavailable."""
        named = self._inbox(inbox)
        try:
            self._publish(body, exchange=named.exchange, routing_key=named.name, mandatory=True)
        except BusUnavailable as away:
            if getattr(away.__cause__, "reply_code", None) in CLOSED:
                raise InboxClosed(str(away)) from away
            raise

    def publish(self, routing_key: str, body: bytes) -> None:
        """Publish an event on the topic exchange. Raises BusUnavailable."""
        self._publish(body, exchange=self._events, routing_key=routing_key, declare=[self._events])

    def announce(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Publish on a topic exchange outside the namespace; absent subscribers miss the message.

        Raises BusUnavailable.
        """
        named = kombu.Exchange(exchange, "topic", durable=True)
        self._publish(
            body, "utf-8", exchange=named, routing_key=routing_key, declare=[named], delivery_mode=1
        )

    def consumer(
        self,
        queue: str,
        on_message: Callable[[bytes], None],
        on_missing: Callable[[], None] = lambda: None,
        on_open: Callable[[], None] = lambda: None,
    ) -> Consumer:
        """Return a consumer that calls `on_message` for each message of a queue.

        `on_message` may raise Later; a message for which it raises another exception is dropped. Another
        process declares the queue. While the queue is missing, the consumer calls `on_missing` repeatedly.
        The consumer calls `on_open` when it has reached the broker, also after the broker was away.
        """
        on_batch = one_by_one(lambda body, _: on_message(body))
        queues = [self._queue(queue)]
        return Consumer(self._connection.clone(), queues, None, on_batch, 1, on_missing, on_open)

    def inbox(self, name: str, on_message: Callable[[bytes], None]) -> Consumer:
        """Return a consumer of an inbox. The consumer declares the inbox, and the inbox of dead letters.

        `on_message` may raise Later or Poison.
        """
        return self.inbox_with_headers(name, lambda body, _: on_message(body))

    def inbox_with_headers(self, name: str, on_message: OnMessage) -> Consumer:
        """Return a consumer as `inbox` does, whose `on_message` gets the message's headers too."""
        return self._consume([self._inbox(DEAD_LETTERS), self._inbox(name)], one_by_one(on_message), 1)

    def inbox_in_batches(self, name: str, on_batch: OnBatch) -> Consumer:
        """Return a consumer of an inbox that hands over up to `BATCH` messages together, in order.

        `on_batch` returns a Poison for each refused message and None for each other message. When it raises
        Later, it gets all messages of the batch again. The broker serves only one of several consumers of
        such an inbox until that consumer is gone, so no message overtakes another.
        """
        inbox = self._inbox(name)
        inbox.queue_arguments = {"x-single-active-consumer": True}
        return self._consume([self._inbox(DEAD_LETTERS), inbox], on_batch, BATCH)

    def reader(self) -> tuple[kombu.Connection, kombu.Queue]:
        """Return a connection that is not opened yet, and the queue of dead letters: for `Inboxes`."""
        return self._connection.clone(), self._inbox(DEAD_LETTERS)

    def close(self) -> None:
        """Close the publishing connection."""
        with self._lock:
            self._connection.release()

    def _consume(self, queues: Sequence[kombu.Queue], on_batch: OnBatch, limit: int) -> Consumer:
        dead_letters = None if self._in_memory else self._inbox(DEAD_LETTERS)
        return Consumer(self._connection.clone(), queues, dead_letters, on_batch, limit)

    def _queue(self, name: str) -> kombu.Queue:
        return kombu.Queue(f"{self._namespace}.{name}", durable=True)

    def _inbox(self, name: str) -> kombu.Queue:
        full = f"{self._namespace}.{name}"
        return kombu.Queue(full, kombu.Exchange(full, "direct", durable=True), routing_key=full, durable=True)

    def _publish(self, body: bytes, encoding: str = "binary", **where: Any) -> None:  # noqa: ANN401 - kombu
        with self._lock, reachable(self._connection):
            try:
                if self._producer is None:
                    self._producer = kombu.Producer(self._connection)
                    self._producer.revive(self._connection.channel())
                self._producer.publish(
                    body,
                    content_type="application/json",
                    content_encoding=encoding,
                    retry=True,
                    retry_policy={"max_retries": 1, "interval_start": 0},
                    **as_sender(self.user),
                    **where,
                )
            except self._connection.channel_errors:
                self._leave_channel()
                raise

    def _leave_channel(self) -> None:
        """Close the channel: the next message is published on a new channel.

        Either the broker has closed the channel already, or the channel still expects the confirm of a
        message that the broker has returned.
        """
        channel, self._producer = self._producer.channel, None
        with contextlib.suppress(*self._connection.connection_errors, *self._connection.channel_errors):
            channel.close()
