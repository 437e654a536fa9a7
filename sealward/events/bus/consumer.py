"""The consumer: a thread that takes messages from a queue and hands them to a reader in batches."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import amqp.exceptions
import kombu

from sealward.events.bus.connection import BusUnavailable, as_sender, reachable
from sealward.events.bus.message import Dropped, Later, Poison, delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sealward.events.bus.message import Delivered, OnBatch

log = logging.getLogger(__name__)

PAUSE: Final = 0.5
"""Seconds until the consumer connects again to a broker that was away, or tries a postponed batch again."""
LOOK_UP: Final = 0.1
"""Seconds that the consumer waits for a message before it checks whether `stop` was called."""
MISSING_PAUSE: Final = 0.2
"""Seconds between two looks for a queue that is missing."""
MISSING_AGAIN: Final = 5.0
"""Seconds between two calls of `on_missing` while a queue is missing."""
NOT_FOUND: Final = 404
"""AMQP's reply code for a queue that does not exist."""
DETAIL: Final = 1000
"""The greatest number of characters of a refusal's text in the header of a dead letter."""
BATCH_BYTES: Final = 32 * 1024 * 1024
"""A consumer that holds messages of this many bytes takes no more messages from the broker."""


def _is_missing(why: BaseException | None) -> bool:
    """Say whether an error means that the queue does not exist, or was deleted while it was read."""
    return isinstance(why, amqp.exceptions.ConsumerCancelled) or getattr(why, "code", None) == NOT_FOUND


class Consumer:
    """A thread that reads the last of `queues` until `stop`, and connects again after the broker was away.

    The consumer holds up to `limit` unacknowledged messages, and hands all messages that have arrived to
    `on_batch` together. When `on_batch` raises Later, the consumer keeps the messages and hands them over
    again, so that no later message overtakes them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one argument for each queue option and each callback
        self,
        connection: kombu.Connection,
        queues: Sequence[kombu.Queue],
        dead_letters: kombu.Queue | None,
        on_batch: OnBatch,
        limit: int,
        on_missing: Callable[[], None] | None = None,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._queues = queues
        self._queue = queues[-1]
        self._dead_letters = dead_letters
        self._on_batch = on_batch
        self._limit = limit
        self._on_missing = on_missing
        """Called while the queue is missing. When this is None, the consumer declares the queues itself."""
        self._on_open = on_open
        """Called each time the consumer begins to read over a connection."""
        self._told_missing: float | None = None
        """The monotonic time of the last call of `on_missing`; None while the queue exists."""
        self._is_late = False
        """Whether the last batch is to be tried again."""
        self._held: deque[Any] = deque()
        self._bytes = 0
        """The size of the held messages in bytes."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"consumer-{self._queue.name}", daemon=True)

    def start(self) -> None:
        """Declare the queues if the broker is reachable now, and start the thread."""
        with contextlib.suppress(BusUnavailable), reachable(self._connection):
            self._declare()
        self._thread.start()

    def stop(self) -> None:
        """Finish the current batch and end the thread. The broker puts unacknowledged messages back."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._connection.release()

    def _declare(self) -> None:
        self._connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        log.info("the broker is back", extra={"back": BusUnavailable.part})
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
                log.warning("%s: the broker is away: %s", self._queue.name, away, extra={"away": away.part})
                self._connection.close()
                self._stopped.wait(PAUSE)
            except Exception:  # a client library may raise anything for data from outside
                log.exception("%s: reading broke off, and begins anew", self._queue.name)
                self._connection.close()
                self._stopped.wait(PAUSE)

    def _miss(self, on_missing: Callable[[], None]) -> None:
        """Call `on_missing`, at most once every `MISSING_AGAIN` seconds, then wait `MISSING_PAUSE`."""
        now = time.monotonic()
        if self._told_missing is None:
            log.warning("%s: the queue is missing: the control plane makes it", self._queue.name)
        if self._told_missing is None or now - self._told_missing > MISSING_AGAIN:
            self._told_missing = now
            on_missing()
        self._stopped.wait(MISSING_PAUSE)

    def _consume(self) -> None:
        self._declare()
        self._on_open()
        self._held.clear()  # the broker delivers messages of an earlier connection again
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
        """Take the messages that have arrived, up to the prefetch count. Wait only while there are none."""
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
                self._postpone(later)
                return
            except Exception as broken:
                # A message that breaks its reader must not come again and again, nor hurt its neighbours.
                if len(batch) > 1:
                    size = 1
                    continue
                log.exception("%s: a message broke its reader", self._queue.name)
                refused = [Poison("bus.reader-broken", repr(broken))]
            self._settle(batch, refused)
            if self._is_late:
                self._is_late = False
                log.info(
                    "%s: messages are processed again", self._queue.name, extra={"back": self._queue.name}
                )

    def _postpone(self, later: Later) -> None:
        self._is_late = True
        text = "%s: %d messages are tried again: %s"
        log.info(text, self._queue.name, len(self._held), later, extra={"away": self._queue.name})
        self._stopped.wait(PAUSE)

    def _settle(self, batch: Sequence[Any], refused: Sequence[Poison | None]) -> None:
        """Publish the refused messages to the dead letters, then acknowledge all messages of the batch."""
        for message, poison in zip(batch, refused, strict=True):
            if poison is not None and not isinstance(poison, Dropped):
                self._bury(self._delivered(message), self._queue_of(message), poison)
        if self._dead_letters is None:
            for message in batch:
                message.ack()  # kombu's virtual transports (5.7) ignore `multiple`
        else:
            batch[-1].ack(multiple=True)
        for _ in batch:
            self._bytes -= len(self._held.popleft().body)

    def _delivered(self, message: Any) -> Delivered:  # noqa: ANN401 - kombu has no types
        """Return a message of kombu's as the type that `on_batch` takes."""
        return delivered(message)

    def _queue_of(self, message: Any) -> str:  # noqa: ANN401 - kombu has no types
        """Return the name of the queue from which a message of kombu's was read."""
        del message
        return str(self._queue.name)

    def _bury(self, message: Delivered, queue: str, poison: Poison) -> None:
        """Publish a message to the dead letters and wait for the confirm. On `memory://` drop the message."""
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
            **as_sender(self._connection.userid),
            headers={
                "sealward-queue": queue,
                "sealward-sender": message.sender or "",
                "sealward-reason": poison.reason,
                "sealward-detail": poison.detail[:DETAIL],
                "sealward-at": datetime.now(UTC).isoformat(),
            },
        )
