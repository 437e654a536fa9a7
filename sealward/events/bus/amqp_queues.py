"""The queues of nodes at RabbitMQ: made with fixed arguments, filled with pipelined confirms.

A message to a node is mandatory and confirmed, so the publisher learns of each message that a queue did not
take: the broker returns a message whose queue is missing, and refuses (`basic.nack`) a message that a full
queue rejects (https://www.rabbitmq.com/docs/confirms, https://www.rabbitmq.com/docs/maxlength). A message
that is not confirmed in time counts as not taken: the queue's host may be down.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import pika

from sealward.events.bus.amqp import PIECE, UNFIT
from sealward.events.bus.amqp_session import Session, parameters
from sealward.events.bus.connection import BusUnavailable, connect, reachable
from sealward.events.bus.node_queues import QueueRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import kombu

    from sealward.events.bus.node_queues import Letter
    from sealward.events.bus.tls import Tls

log = logging.getLogger(__name__)

ARGUMENTS: Final = {
    "x-max-length": 5_000,
    "x-max-length-bytes": 64 * 1024 * 1024,
    "x-overflow": "reject-publish",
    "x-expires": 86_400_000,
}
"""The arguments of a node's queue. A full queue takes no message; as soon as it takes messages again, the
control plane sends the node its whole state. A queue without a consumer for a day (in milliseconds) is
deleted, and the node's next registration makes it again. No message expires by itself: a node that missed a
message without knowing it would act on the next message."""
CONFIRMED_WITHIN: Final = 5.0
"""Seconds after the last message of a batch in which the broker has confirmed all that can be confirmed."""
CONNECTED_WITHIN: Final = 10.0
OTHERWISE: Final = 406
"""AMQP's code (precondition failed): a queue was declared with other arguments, or a message is too large."""
AS_IT_MUST_BE: Final[dict[str, Any]] = {"durable": True, "auto_delete": False, "arguments": ARGUMENTS}


class AmqpQueues:
    """The queues of nodes. A queue that is there with other arguments is deleted and made anew.

    Declaring and publishing have connections of their own: the broker closes a channel with each refusal.
    """

    def __init__(self, url: str, tls: Tls | None = None, namespace: str = "sealward") -> None:
        self._url = url
        self._tls = tls
        self._namespace = namespace
        self._session: _Session | None = None
        self._declaring: kombu.Connection | None = None
        self._open: set[str] = set()

    def open(self, queue: str) -> None:
        """Make the queue, unless it is there as it must be. Raises QueueRefused, BusUnavailable."""
        if queue not in self._open:
            self._declare(f"{self._namespace}.{queue}")
            self._open.add(queue)

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Put letters into their queues; return the queues that did not take all. Raises BusUnavailable."""
        if not letters:
            return frozenset()
        prefix = f"{self._namespace}."
        missed = self._publish([(prefix + one.queue, one.body) for one in letters])
        failed = frozenset(one.removeprefix(prefix) for one in missed)
        self._open -= failed
        return failed

    def delete(self, queue: str) -> None:
        """Delete the queue with all that is in it. Raises QueueRefused, BusUnavailable."""
        self._open.discard(queue)
        self._on_channel(lambda channel: channel.queue_delete(f"{self._namespace}.{queue}"))

    def close(self) -> None:
        """Close the connections."""
        self._end_session()
        self._end_declaring()

    def _publish(self, letters: Sequence[tuple[str, bytes]]) -> set[str]:
        """Publish (queue, body); return the queues that did not take all. Raises BusUnavailable.

        The broker closes the channel at a letter that is larger than its `max_message_size`, and does not say
        which letter it was. Then each letter is published by itself.
        """
        if self._session is not None and self._session.ended.is_set():
            self._end_session()
        if self._session is None:
            self._session = _Session(parameters(self._url, self._tls))
        session = self._session
        try:
            missed = session.publish(letters)
        except BusUnavailable:
            self._end_session()
            if not session.is_refused:
                raise
            if len(letters) == 1:
                return {letters[0][0]}
            return {queue for one in letters for queue in self._publish([one])}
        except BaseException:
            self._end_session()
            raise
        if session.is_stuck:
            self._end_session()
        return missed

    def _declare(self, name: str) -> None:
        try:
            self._on_channel(lambda channel: channel.queue_declare(name, **AS_IT_MUST_BE))
        except QueueRefused as refused:
            if refused.status != OTHERWISE:
                raise
            log.warning("%s was declared otherwise: it is made anew", name)
            self._on_channel(lambda channel: channel.queue_delete(name))
            self._on_channel(lambda channel: channel.queue_declare(name, **AS_IT_MUST_BE))

    def _on_channel(self, work: Callable[[Any], object]) -> None:
        """Call `work` with a new channel. Try once more when a connection that was open before has ended.

        Raises QueueRefused, BusUnavailable.
        """
        was_open = self._declaring is not None
        try:
            if self._declaring is None:
                self._declaring = connect(self._url, self._tls, read_timeout=CONNECTED_WITHIN)
            with reachable(self._declaring):
                self._try(self._declaring, work)
        except BusUnavailable:
            self._end_declaring()
            if not was_open:
                raise
            self._on_channel(work)

    def _try(self, connection: kombu.Connection, work: Callable[[Any], object]) -> None:
        channel = connection.channel()
        try:
            work(channel)
        except connection.channel_errors as refused:
            raise QueueRefused(getattr(refused, "code", 0), str(refused)) from refused
        channel.close()

    def _end_declaring(self) -> None:
        self._open.clear()
        if self._declaring is not None:
            with contextlib.suppress(OSError):
                self._declaring.release()
            self._declaring = None

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


class _Session(Session):
    """Publishes to queues by the default exchange, whose routing keys are the names of queues."""

    def __init__(self, where: pika.URLParameters) -> None:
        self.is_stuck = False
        """Whether a message was not confirmed in time: it is not known whether its queue took it."""
        self.is_refused = False
        """Whether the broker has closed the channel because it does not take a letter."""
        self._settled = threading.Event()
        self._last = 0
        self._unconfirmed: dict[int, str] = {}
        """By delivery tag the queue of each message that is on its way."""
        self._is_whole = True
        self._missed: set[str] = set()
        self._answers = 0
        super().__init__(where, "node-queues")

    def publish(self, letters: Sequence[tuple[str, bytes]]) -> set[str]:
        """Publish (queue, body) in order; return the queues that did not take all. Raises BusUnavailable."""
        self._be_ready(CONNECTED_WITHIN)
        self._settled.clear()
        self._in_thread(self._begin)
        rest = iter(letters)
        while piece := list(itertools.islice(rest, PIECE)):
            self._in_thread(functools.partial(self._send, piece))
        self._in_thread(self._end)
        if not self._wait(self._settled, CONFIRMED_WITHIN):
            self._give_up()
        return self._missed

    def _give_up(self) -> None:
        """Count unconfirmed messages as not taken. Raises BusUnavailable when no message was confirmed."""
        self.is_stuck = True
        if not self._answers:
            raise BusUnavailable("the broker confirms nothing")
        self._missed |= set(self._unconfirmed.copy().values())

    def _prepare(self, channel: Any) -> None:  # noqa: ANN401 - pika has no types
        channel.add_on_return_callback(self._returned)

    def _lose_channel(self, channel: object, why: object) -> None:
        self.is_refused = getattr(why, "reply_code", 0) == OTHERWISE
        super()._lose_channel(channel, why)

    def _begin(self) -> None:
        self._is_whole, self._missed, self._answers = False, set(), 0

    def _end(self) -> None:
        self._is_whole = True
        self._look_whether_settled()

    def _send(self, letters: Sequence[tuple[str, bytes]]) -> None:
        with self._connection.one_piece():
            for queue, body in letters:
                try:
                    self._channel.basic_publish("", queue, body, PROPERTIES, mandatory=True)
                except UNFIT:  # no queue can have that name
                    self._missed.add(queue)
                else:
                    self._last += 1
                    self._unconfirmed[self._last] = queue

    def _returned(self, _channel: object, method: Any, _properties: object, _body: bytes) -> None:  # noqa: ANN401 - pika has no types
        """Take a message back that no queue took; its confirm follows."""
        self._missed.add(method.routing_key)

    def _acked(self, frame: Any) -> None:  # noqa: ANN401 - pika has no types
        tag = frame.method.delivery_tag
        tags = [one for one in self._unconfirmed if one <= tag] if frame.method.multiple else [tag]
        queues = {self._unconfirmed.pop(one) for one in tags if one in self._unconfirmed}
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._missed |= queues
        self._answers += 1
        self._look_whether_settled()

    def _look_whether_settled(self) -> None:
        if self._is_whole and not self._unconfirmed:
            self._settled.set()


PROPERTIES: Final = pika.BasicProperties(content_type="application/json", delivery_mode=2)
