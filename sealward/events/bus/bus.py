"""The bus between control plane and nodes: kombu, on `memory://` in one process or a broker between many.

Delivery is at least once and per queue in order. A message is acknowledged after it was worked on, or after
it lies safely with the dead letters.

Nodes publish on exchanges of the control plane alone, never on the default exchange: who may write there can
write to every queue (RabbitMQ, "Access control", and seen on 3.10.8).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import amqp.exceptions
import kombu
import kombu.exceptions

from sealward.error import SealwardError
from sealward.events.bus.properties import frames_with_readable_properties
from sealward.events.bus.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnMessage = Callable[[bytes, Mapping[str, Any]], None]
    OnBatch = Callable[[Sequence["Delivered"]], Sequence["Poison | None"]]

log = logging.getLogger(__name__)

POLLING_INTERVAL: Final = 0.005
"""Seconds between looks into a queue of `memory://`; brokers push."""
HEARTBEAT: Final = 10
CONNECT_TIMEOUT: Final = 3
PAUSE: Final = 1.0
"""Seconds until a broker that was away is tried again."""
LOOK_UP: Final = 0.1
"""Seconds after which a consumer looks whether it shall stop."""
MISSING_PAUSE: Final = 0.2
MISSING_AGAIN: Final = 5.0
"""Seconds between looks for a queue that is missing, and until it is told again that the queue is."""
NOT_FOUND: Final = 404
"""AMQP's code when a queue is not there."""
CLOSED: Final = (312, 403, NOT_FOUND)
"""AMQP's codes when an exchange has no queue, may not be written to by the user, or is not there."""
DEAD_LETTERS: Final = "dead-letters"
"""The inbox of messages that cannot be worked on."""
DETAIL: Final = 1000
"""Characters of a refusal that a dead letter carries."""
BATCH: Final = 300
"""Messages that are worked on together at most."""
BATCH_BYTES: Final = 32 * 1024 * 1024
"""Bytes of messages beyond which no more are taken from the broker, however few they are."""


class BusUnavailable(SealwardError):
    """The broker does not answer now; what was to be sent was not, or it is not known whether it was."""

    code = "bus.unavailable"


class InboxClosed(BusUnavailable):
    """The broker has no such inbox, or this user may not write to it."""

    code = "bus.inbox-closed"


class Later(SealwardError):
    """The message cannot be worked on now: it shall be delivered again."""

    code = "bus.later"


class Poison(SealwardError):
    """The message can never be worked on as it is. `reason` is a stable code."""

    code = "bus.poison"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Dropped(Poison):
    """Nobody answers for the message: it is acknowledged, and nothing of its content is kept or logged."""

    code = "bus.dropped"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as it came.

    `sender` is the user of the broker who has published it: RabbitMQ refuses a message whose property
    `user_id` names another user than the connection's (https://www.rabbitmq.com/docs/validated-user-id).
    It is None where the publisher has not set the property, and always on `memory://`.
    `redelivered` is set by the broker when it has delivered the message before.
    `inbox` is the broker's user that alone may write to the inbox that the message came by. It is None
    for an inbox that several users may write to.
    """

    body: bytes
    headers: Mapping[str, Any]
    sender: str | None = None
    redelivered: bool = False
    inbox: str | None = None


class Bus:
    """A connection to publish on, and consumers with connections of their own. Safe for many threads.

    `namespace` heads the name of every queue and exchange: `memory://` is one for the whole process.
    """

    def __init__(self, url: str, namespace: str = "sealward", tls: Tls | None = None) -> None:
        self._in_memory = url.startswith("memory:")
        self._connection = connect(url, tls)
        self.user: str | None = None if self._in_memory else self._connection.userid
        """This process's user at the broker, whom every message of its own names as the sender."""
        self._namespace = namespace
        self.prefix = f"{namespace}."
        """What the names of all queues and exchanges begin with."""
        self._events = kombu.Exchange(f"{namespace}.events", "topic", durable=True)
        self._lock = threading.Lock()
        self._producer: Any = None

    def send(self, queue: str, body: bytes) -> None:
        """Put a message into a queue, which is made when missing. Raises BusUnavailable."""
        named = self._queue(queue)
        self._publish(body, exchange="", routing_key=named.name, declare=[named])

    def submit(self, inbox: str, body: bytes) -> None:
        """Put a message into an inbox that somebody else has opened. Raises InboxClosed, BusUnavailable."""
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
        """Publish on a topic exchange that is not ours, for whoever hears it now. Raises BusUnavailable."""
        named = kombu.Exchange(exchange, "topic", durable=True)
        self._publish(
            body, "utf-8", exchange=named, routing_key=routing_key, declare=[named], delivery_mode=1
        )

    def consumer(
        self, queue: str, on_message: Callable[[bytes], None], on_missing: Callable[[], None] = lambda: None
    ) -> Consumer:
        """Return what hands the messages of a queue, one after the other, to `on_message`.

        That may raise Later; what it cannot take is dropped. The queue is for somebody else to make: while it
        is missing, and after it was, `on_missing` is called now and then.
        """
        on_batch = _one_by_one(lambda body, _: on_message(body))
        return Consumer(self._connection.clone(), [self._queue(queue)], None, on_batch, 1, on_missing)

    def inbox(self, name: str, on_message: Callable[[bytes], None]) -> Consumer:
        """Do the same for an inbox, which is opened with the consumer; the inbox of the dead as well."""
        return self.inbox_with_headers(name, lambda body, _: on_message(body))

    def inbox_with_headers(self, name: str, on_message: OnMessage) -> Consumer:
        """Do the same where a message's headers matter as well."""
        return self._consume([self._inbox(DEAD_LETTERS), self._inbox(name)], _one_by_one(on_message), 1)

    def inbox_in_batches(self, name: str, on_batch: OnBatch) -> Consumer:
        """Do the same with all messages that have arrived, up to `BATCH`, in their order.

        `on_batch` says of each why it is poison, None for the others; Later means all of them. Of many who
        consume such an inbox the broker serves one, until that one is gone: nothing overtakes.
        """
        inbox = self._inbox(name)
        inbox.queue_arguments = {"x-single-active-consumer": True}
        return self._consume([self._inbox(DEAD_LETTERS), inbox], on_batch, BATCH)

    def reader(self) -> tuple[kombu.Connection, kombu.Queue]:
        """Return a connection, not yet opened, and the inbox of dead letters: for readers of inboxes."""
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
                    **_as_sender(self.user),
                    **where,
                )
            except self._connection.channel_errors:
                self._leave_channel()
                raise

    def _leave_channel(self) -> None:
        """Publish on another channel from now on.

        The broker has closed this channel, or a confirm is on its way for a message that was returned.
        """
        channel, self._producer = self._producer.channel, None
        with contextlib.suppress(*self._connection.connection_errors, *self._connection.channel_errors):
            channel.close()


def connect(url: str, tls: Tls | None = None, **options: object) -> kombu.Connection:
    """Return a connection, not yet opened; `options` are those of its transport."""
    in_memory = url.startswith("memory:")
    own: dict[str, object] = {"polling_interval": POLLING_INTERVAL}
    if not in_memory:
        own = {"confirm_publish": True, "frame_handler": frames_with_readable_properties}
    return kombu.Connection(
        url,
        transport_options=own | options,
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


def _is_missing(why: BaseException | None) -> bool:
    """Say whether a queue was not there, or was deleted while it was read."""
    return isinstance(why, amqp.exceptions.ConsumerCancelled) or getattr(why, "code", None) == NOT_FOUND


def _one_by_one(on_message: OnMessage) -> OnBatch:
    def on_batch(batch: Sequence[Delivered]) -> list[Poison | None]:
        (message,) = batch
        try:
            on_message(message.body, message.headers)
        except Poison as poison:
            return [poison]
        return [None]

    return on_batch


class Consumer:
    """A thread that works off one queue until it is stopped; it connects again when the broker was away.

    It holds up to `limit` messages that are not acknowledged, and works on all that have arrived together.
    What cannot be worked on now it keeps and tries again, so that nothing overtakes it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it reads, and who is told what
        self,
        connection: kombu.Connection,
        queues: Sequence[kombu.Queue],
        dead_letters: kombu.Queue | None,
        on_batch: OnBatch,
        limit: int,
        on_missing: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._queue = queues[-1]
        self._dead_letters = dead_letters
        self._on_batch = on_batch
        self._limit = limit
        self._on_missing = on_missing
        """Whom to tell that the queue is missing; None: then this consumer makes the queue."""
        self._told_missing: float | None = None
        """When somebody was told last that the queue is missing; None while it is there."""
        self._held: deque[Any] = deque()
        self._bytes = 0
        """The size of what is held."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"consumer-{self._queue.name}", daemon=True)

    def start(self) -> None:
        """Make the queues when the broker is there, and begin to consume."""
        with contextlib.suppress(BusUnavailable), reachable(self._connection):
            self._declare()
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand, then end; what is held goes back to the queue."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._connection.release()

    def _declare(self) -> None:
        self._connection.ensure_connection(max_retries=1)
        for one in self._queues if self._on_missing is None else ():
            one(self._connection.default_channel).declare()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with reachable(self._connection):
                    self._consume()
            except BusUnavailable as away:
                if self._on_missing is not None and _is_missing(away.__cause__):
                    self._miss(self._on_missing)
                    continue
                log.warning("%s: the broker is away: %s", self._queue.name, away)
                self._connection.close()
                self._stopped.wait(PAUSE)
            except Exception:  # a client library may raise anything for what somebody else has sent
                log.exception("%s: reading broke off, and begins anew", self._queue.name)
                self._connection.close()
                self._stopped.wait(PAUSE)

    def _miss(self, on_missing: Callable[[], None]) -> None:
        """Tell that the queue is missing, at first and now and then, and wait a little."""
        now = time.monotonic()
        if self._told_missing is None:
            log.warning("%s: the queue is missing: the control plane makes it", self._queue.name)
        if self._told_missing is None or now - self._told_missing > MISSING_AGAIN:
            self._told_missing = now
            on_missing()
        self._stopped.wait(MISSING_PAUSE)

    def _consume(self) -> None:
        self._declare()
        self._held.clear()  # of an earlier connection: the broker delivers them again
        self._bytes = 0
        with (
            self._connection.channel() as channel,
            kombu.Consumer(
                channel,
                [self._queue],
                auto_declare=self._on_missing is None,
                on_message=self._hold,
                prefetch_count=self._limit,
            ),
        ):
            self._told_missing = None
            while not self._stopped.is_set():
                self._receive()
                self._work_off()
                if self._connection.heartbeat:
                    self._connection.heartbeat_check()

    def _hold(self, message: Any) -> None:  # noqa: ANN401 - kombu has no types
        self._held.append(message)
        self._bytes += len(message.body)

    def _receive(self) -> None:
        """Take what has arrived, no more than was subscribed to; wait only where that is nothing."""
        with contextlib.suppress(TimeoutError):
            while self._bytes < BATCH_BYTES:
                self._connection.drain_events(timeout=0 if self._held else LOOK_UP)

    def _work_off(self) -> None:
        size = len(self._held)
        while self._held:
            batch = list(itertools.islice(self._held, size))
            try:
                refused = self._on_batch([self._delivered(one) for one in batch])
            except Later as later:
                log.info("%s: %d messages are tried again: %s", self._queue.name, len(self._held), later)
                self._stopped.wait(PAUSE)
                return
            except Exception as broken:
                # A message that breaks its reader must not come again and again, nor hurt its neighbours.
                if len(batch) > 1:
                    size = 1
                    continue
                log.exception("%s: a message broke its reader", self._queue.name)
                refused = [Poison("bus.reader-broken", repr(broken))]
            self._settle(batch, refused)

    def _settle(self, batch: Sequence[Any], refused: Sequence[Poison | None]) -> None:
        """Lay the refused with the dead letters, then acknowledge all."""
        for message, poison in zip(batch, refused, strict=True):
            if poison is not None and not isinstance(poison, Dropped):
                self._bury(self._delivered(message), self._queue_of(message), poison)
        if self._dead_letters is None:
            for message in batch:
                message.ack()  # kombu's virtual transports take `multiple` for one (5.7)
        else:
            batch[-1].ack(multiple=True)
        for _ in batch:
            self._bytes -= len(self._held.popleft().body)

    def _delivered(self, message: Any) -> Delivered:  # noqa: ANN401 - kombu has no types
        """Return a message of kombu's as it is handed on."""
        return _delivered(message)

    def _queue_of(self, message: Any) -> str:  # noqa: ANN401 - kombu has no types
        """Return the name of the queue that a message of kombu's came by."""
        del message
        return str(self._queue.name)

    def _bury(self, message: Delivered, queue: str, poison: Poison) -> None:
        """Lay a message with the dead, and wait until it is safe there; `memory://` has no such place."""
        log.warning("%s: a message is refused: %s", queue, poison)
        if self._dead_letters is None:
            log.error("%s: a message was dropped: %s", queue, poison.reason)
            return
        kombu.Producer(self._connection).publish(
            message.body,
            exchange=self._dead_letters.exchange,
            routing_key=self._dead_letters.name,
            content_type="application/json",
            content_encoding="binary",
            delivery_mode=2,
            message_id=str(uuid.uuid4()),
            **_as_sender(self._connection.userid),
            headers={
                "sealward-queue": queue,
                "sealward-sender": message.sender or "",
                "sealward-reason": poison.reason,
                "sealward-detail": poison.detail[:DETAIL],
                "sealward-at": datetime.now(UTC).isoformat(),
            },
        )


def _as_sender(user: str | None) -> dict[str, str]:
    """Return the property that names the sender; RabbitMQ checks it. `memory://` has no users."""
    return {"user_id": user} if user else {}


def _delivered(message: Any) -> Delivered:  # noqa: ANN401 - kombu has no types
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    return Delivered(
        body,
        message.headers,
        message.properties.get("user_id"),
        bool(message.delivery_info.get("redelivered")),
    )
