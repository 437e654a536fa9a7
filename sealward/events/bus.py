"""The bus between control plane and nodes: kombu, on `memory://` in one process or a broker between many.

Delivery is at least once and per queue in order. A message is acknowledged after it was worked on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import kombu
import kombu.exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

POLLING_INTERVAL: Final = 0.005
"""Seconds between looks into a queue of `memory://`; brokers push."""
HEARTBEAT: Final = 10
CONNECT_TIMEOUT: Final = 3
PAUSE: Final = 1.0
"""Seconds until a broker that was away is tried again."""
LOOK_UP: Final = 0.1
"""Seconds after which a consumer looks whether it shall stop."""


class BusUnavailable(Exception):
    """The broker does not answer now; what was to be sent was not, or it is not known whether it was."""

    code = "bus.unavailable"


class Bus:
    """A connection to publish on, and consumers with connections of their own. Safe for many threads.

    `namespace` heads the name of every queue and exchange: `memory://` is one for the whole process.
    """

    def __init__(self, url: str, namespace: str = "sealward") -> None:
        in_memory = url.startswith("memory:")
        options = {"polling_interval": POLLING_INTERVAL} if in_memory else {"confirm_publish": True}
        heartbeat = 0 if in_memory else HEARTBEAT
        self._connection = kombu.Connection(
            url, transport_options=options, heartbeat=heartbeat, connect_timeout=CONNECT_TIMEOUT
        )
        self._namespace = namespace
        self._events = kombu.Exchange(f"{namespace}.events", "topic", durable=True)
        self._lock = threading.Lock()
        self._producer: Any = None

    def send(self, queue: str, body: bytes) -> None:
        """Put a message into a queue. Raises BusUnavailable."""
        named = self._queue(queue)
        self._publish(body, exchange="", routing_key=named.name, declare=[named])

    def publish(self, routing_key: str, body: bytes) -> None:
        """Publish an event on the topic exchange. Raises BusUnavailable."""
        self._publish(body, exchange=self._events, routing_key=routing_key, declare=[self._events])

    def bind(self, queue: str, routing_key: str) -> None:
        """Let a queue have, from now on, the events whose key matches. Raises BusUnavailable."""
        with reachable(self._connection), self._connection.clone() as connection:
            self._queue(queue)(connection.default_channel).declare()
            bound = kombu.Queue(f"{self._namespace}.{queue}", self._events, routing_key=routing_key)
            bound(connection.default_channel).declare()

    def consumer(self, queue: str, on_message: Callable[[bytes], None]) -> Consumer:
        """Return what will hand the messages of a queue, one after the other, to `on_message`."""
        return Consumer(self._connection.clone(), self._queue(queue), on_message)

    def close(self) -> None:
        """Close the publishing connection."""
        with self._lock:
            self._connection.release()

    def _queue(self, name: str) -> kombu.Queue:
        return kombu.Queue(f"{self._namespace}.{name}", durable=True)

    def _publish(self, body: bytes, **where: Any) -> None:  # noqa: ANN401 - kombu's own arguments
        with self._lock, reachable(self._connection):
            if self._producer is None:
                self._producer = kombu.Producer(self._connection)
            self._producer.publish(
                body,
                content_type="application/json",
                content_encoding="binary",
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0},
                **where,
            )


@contextlib.contextmanager
def reachable(connection: kombu.Connection) -> Iterator[None]:
    """Turn what kombu raises when the broker is away into BusUnavailable."""
    try:
        yield
    except (kombu.exceptions.OperationalError, *connection.connection_errors) as away:
        raise BusUnavailable(str(away) or type(away).__name__) from away


class Consumer:
    """A thread that works off one queue until it is stopped; it connects again when the broker was away."""

    def __init__(
        self, connection: kombu.Connection, queue: kombu.Queue, on_message: Callable[[bytes], None]
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._on_message = on_message
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"consumer-{queue.name}", daemon=True)

    def start(self) -> None:
        """Begin to consume."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the message at hand, then end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._connection.release()

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
        self._connection.ensure_connection(max_retries=1)
        consumer = kombu.Consumer(self._connection, [self._queue], on_message=self._deliver, prefetch_count=1)
        with consumer:
            while not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    self._connection.drain_events(timeout=LOOK_UP)
                if self._connection.heartbeat:
                    self._connection.heartbeat_check()

    def _deliver(self, message: Any) -> None:  # noqa: ANN401 - kombu has no types
        body = message.body
        try:
            self._on_message(body.encode() if isinstance(body, str) else bytes(body))
        except Exception:
            # A message that breaks its reader must not come again and again.
            log.exception("message on %s was dropped", self._queue.name)
        message.ack()
