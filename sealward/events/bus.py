"""The bus between control plane and nodes: kombu, on `memory://` in one process or a broker between many.

Delivery is at least once and per queue in order. A message is acknowledged after it was worked on, or after
it lies safely with the dead letters.

Nodes publish on exchanges of the control plane alone, never on the default exchange: who may write there can
write to every queue (RabbitMQ, "Access control", and seen on 3.10.8).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import kombu
import kombu.exceptions

from sealward.events.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnMessage = Callable[[bytes, Mapping[str, Any]], None]

log = logging.getLogger(__name__)

POLLING_INTERVAL: Final = 0.005
"""Seconds between looks into a queue of `memory://`; brokers push."""
HEARTBEAT: Final = 10
CONNECT_TIMEOUT: Final = 3
PAUSE: Final = 1.0
"""Seconds until a broker that was away is tried again."""
LOOK_UP: Final = 0.1
"""Seconds after which a consumer looks whether it shall stop."""
DEAD_LETTERS: Final = "dead-letters"
"""The inbox of messages that cannot be worked on."""
DETAIL: Final = 1000
"""Characters of a refusal that a dead letter carries."""


class BusUnavailable(Exception):
    """The broker does not answer now; what was to be sent was not, or it is not known whether it was."""

    code = "bus.unavailable"


class Later(Exception):
    """The message cannot be worked on now: it shall be delivered again."""

    code = "bus.later"


class Poison(Exception):
    """The message can never be worked on as it is. `reason` is a stable code."""

    code = "bus.poison"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Bus:
    """A connection to publish on, and consumers with connections of their own. Safe for many threads.

    `namespace` heads the name of every queue and exchange: `memory://` is one for the whole process.
    """

    def __init__(self, url: str, namespace: str = "sealward", tls: Tls | None = None) -> None:
        self._in_memory = url.startswith("memory:")
        self._connection = connect(url, tls)
        self._namespace = namespace
        self._events = kombu.Exchange(f"{namespace}.events", "topic", durable=True)
        self._lock = threading.Lock()
        self._producer: Any = None

    def send(self, queue: str, body: bytes) -> None:
        """Put a message into a queue, which is made when missing. Raises BusUnavailable."""
        named = self._queue(queue)
        self._publish(body, exchange="", routing_key=named.name, declare=[named])

    def submit(self, inbox: str, body: bytes) -> None:
        """Put a message into an inbox that somebody else has opened. Raises BusUnavailable."""
        named = self._inbox(inbox)
        self._publish(body, exchange=named.exchange, routing_key=named.name)

    def publish(self, routing_key: str, body: bytes) -> None:
        """Publish an event on the topic exchange. Raises BusUnavailable."""
        self._publish(body, exchange=self._events, routing_key=routing_key, declare=[self._events])

    def bind(self, queue: str, routing_key: str) -> None:
        """Let a queue have, from now on, the events whose key matches. Raises BusUnavailable."""
        named = self._queue(queue)
        with reachable(self._connection), self._connection.clone() as connection:
            named(connection.default_channel).declare()
            bound = kombu.Queue(named.name, self._events, routing_key=routing_key)
            bound(connection.default_channel).declare()

    def announce(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Publish on a topic exchange that is not ours, for whoever hears it now. Raises BusUnavailable."""
        named = kombu.Exchange(exchange, "topic", durable=True)
        self._publish(
            body, "utf-8", exchange=named, routing_key=routing_key, declare=[named], delivery_mode=1
        )

    def consumer(self, queue: str, on_message: Callable[[bytes], None]) -> Consumer:
        """Return what hands the messages of a queue, one after the other, to `on_message`.

        That may raise Later and Poison.
        """
        return self._consume([self._queue(queue)], lambda body, _: on_message(body))

    def inbox(self, name: str, on_message: Callable[[bytes], None]) -> Consumer:
        """Do the same for an inbox, which is opened with the consumer; the inbox of the dead as well."""
        return self.inbox_with_headers(name, lambda body, _: on_message(body))

    def inbox_with_headers(self, name: str, on_message: OnMessage) -> Consumer:
        """Do the same where a message's headers matter as well."""
        return self._consume([self._inbox(DEAD_LETTERS), self._inbox(name)], on_message)

    def close(self) -> None:
        """Close the publishing connection."""
        with self._lock:
            self._connection.release()

    def _consume(self, queues: Sequence[kombu.Queue], on_message: OnMessage) -> Consumer:
        dead_letters = None if self._in_memory else self._inbox(DEAD_LETTERS)
        return Consumer(self._connection.clone(), queues, dead_letters, on_message)

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
                self._producer.publish(
                    body,
                    content_type="application/json",
                    content_encoding=encoding,
                    retry=True,
                    retry_policy={"max_retries": 1, "interval_start": 0},
                    **where,
                )
            except self._connection.channel_errors:
                self._producer = None  # the broker closed its channel
                raise


def connect(url: str, tls: Tls | None = None) -> kombu.Connection:
    """Return a connection, not yet opened."""
    in_memory = url.startswith("memory:")
    return kombu.Connection(
        url,
        transport_options={"polling_interval": POLLING_INTERVAL} if in_memory else {"confirm_publish": True},
        heartbeat=0 if in_memory else HEARTBEAT,
        connect_timeout=CONNECT_TIMEOUT,
        ssl=(tls or Tls()).options() if url.startswith("amqps:") else False,
    )


@contextlib.contextmanager
def reachable(connection: kombu.Connection) -> Iterator[None]:
    """Turn what kombu raises when the broker is away, or does not let us, into BusUnavailable."""
    errors = (*connection.connection_errors, *connection.channel_errors)
    try:
        yield
    except (kombu.exceptions.OperationalError, *errors) as away:
        raise BusUnavailable(str(away) or type(away).__name__) from away


class Consumer:
    """A thread that works off one queue until it is stopped; it connects again when the broker was away."""

    def __init__(
        self,
        connection: kombu.Connection,
        queues: Sequence[kombu.Queue],
        dead_letters: kombu.Queue | None,
        on_message: OnMessage,
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._queue = queues[-1]
        self._dead_letters = dead_letters
        self._on_message = on_message
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"consumer-{self._queue.name}", daemon=True)

    def start(self) -> None:
        """Make the queues when the broker is there, and begin to consume."""
        with contextlib.suppress(BusUnavailable), reachable(self._connection):
            self._declare()
        self._thread.start()

    def stop(self) -> None:
        """Finish the message at hand, then end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._connection.release()

    def _declare(self) -> None:
        self._connection.ensure_connection(max_retries=1)
        for one in self._queues:
            one(self._connection.default_channel).declare()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with reachable(self._connection):
                    self._consume()
            except BusUnavailable as away:
                log.warning("%s: the broker is away: %s", self._queue.name, away)
                self._connection.close()
                self._stopped.wait(PAUSE)

    def _consume(self) -> None:
        self._declare()
        consumer = kombu.Consumer(self._connection, [self._queue], on_message=self._deliver, prefetch_count=1)
        with consumer:
            while not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    self._connection.drain_events(timeout=LOOK_UP)
                if self._connection.heartbeat:
                    self._connection.heartbeat_check()

    def _deliver(self, message: Any) -> None:  # noqa: ANN401 - kombu has no types
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        try:
            self._on_message(body, message.headers)
        except Later as later:
            log.info("%s: a message comes again: %s", self._queue.name, later)
            message.requeue()
            self._stopped.wait(PAUSE)
            return
        except Poison as poison:
            log.warning("%s: a message is refused: %s", self._queue.name, poison)
            self._bury(body, poison.reason, poison.detail)
        except Exception as broken:
            # A message that breaks its reader must not come again and again.
            log.exception("%s: a message broke its reader", self._queue.name)
            self._bury(body, "bus.reader-broken", repr(broken))
        message.ack()

    def _bury(self, body: bytes, reason: str, detail: str) -> None:
        """Lay a message with the dead, and wait until it is safe there; `memory://` has no such place."""
        if self._dead_letters is None:
            log.error("%s: a message was dropped: %s", self._queue.name, reason)
            return
        kombu.Producer(self._connection).publish(
            body,
            exchange=self._dead_letters.exchange,
            routing_key=self._dead_letters.name,
            content_type="application/json",
            content_encoding="binary",
            delivery_mode=2,
            message_id=str(uuid.uuid4()),
            headers={
                "sealward-queue": self._queue.name,
                "sealward-reason": reason,
                "sealward-detail": detail[:DETAIL],
                "sealward-at": datetime.now(UTC).isoformat(),
            },
        )
