"""A connection of pika with a thread of its own, as publishing with pipelined confirms needs it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pika

from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.tls import Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def parameters(url: str, tls: Tls | None = None) -> pika.URLParameters:
    """Return pika's parameters of a connection."""
    made = pika.URLParameters(url)
    if url.startswith("amqps:"):
        made.ssl_options = pika.SSLOptions((tls or Tls()).context(), made.host)
    return made


class _Connection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """Sends many messages in one piece.

    pika (1.4.4) writes each message to the socket in three parts. These writes cost as much as all other work
    of a message.
    """

    _pieces: list[bytes] | None = None

    @contextlib.contextmanager
    def one_piece(self) -> Iterator[None]:
        """Hold back all data that is sent inside the `with` block, and send it at the end in one write."""
        self._pieces = []
        try:
            yield
        finally:
            pieces, self._pieces = self._pieces, None
            if pieces:
                self._adapter_emit_data(b"".join(pieces))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._pieces is None:
            super()._adapter_emit_data(data)
        else:
            self._pieces.append(data)


class Session:
    """A connection with one channel and its own thread. The first error of connection or channel ends it.

    A subclass implements `_prepare`, which prepares the new channel, and `_acked`, which gets each confirm.
    """

    def __init__(self, where: pika.URLParameters, name: str) -> None:
        self.ended = threading.Event()
        self._ready = threading.Event()
        self._channel: Any = None
        self._place = f"{where.host}:{where.port} (SEALWARD_BROKER_URL)"
        self._why = f"{self._place}: the broker does not answer"
        self._is_lost = False
        """Whether the broker has closed the channel; `_why` has the reason."""
        self._connection = _Connection(
            where,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=self._failed,
            on_close_callback=self._failed,
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connection and its thread."""
        if not self.ended.is_set():
            self._in_thread(self._close)
        self._thread.join(5)
        if self.ended.is_set():
            self._connection.ioloop.close()

    def _prepare(self, channel: Any) -> None:  # noqa: ANN401 - pika has no types
        """Declare the exchanges and queues that the subclass publishes to."""
        raise NotImplementedError

    def _acked(self, frame: Any) -> None:  # noqa: ANN401 - pika has no types
        """Take a confirm or a refusal, which may stand for all earlier messages, too."""
        raise NotImplementedError

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event; say whether it came. Raises BusUnavailable when the connection ends."""
        deadline = time.monotonic() + seconds
        while not event.wait(0.05):
            if self.ended.is_set():
                raise BusUnavailable(self._why)
            if time.monotonic() > deadline:
                return False
        return True

    def _be_ready(self, seconds: float) -> None:
        """Wait until the channel is ready. Raises BusUnavailable."""
        if not self._wait(self._ready, seconds):
            raise BusUnavailable(self._why)

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        finally:
            self.ended.set()

    def _close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        else:
            self._connection.ioloop.stop()

    def _failed(self, _connection: object, why: object) -> None:
        if not self._is_lost:
            self._why = f"{self._place}: {str(why) or type(why).__name__}"
        self._connection.ioloop.stop()

    def _lose_channel(self, _channel: object, why: object) -> None:
        """End the connection when its channel ends, unless the connection is being closed already."""
        if self._connection.is_open:
            self._why, self._is_lost = str(why) or type(why).__name__, True
            self._connection.close()

    def _opened(self, channel: Any) -> None:  # noqa: ANN401 - pika has no types
        self._channel = channel
        channel.add_on_close_callback(self._lose_channel)
        self._prepare(channel)
        channel.confirm_delivery(self._acked, lambda _: self._ready.set())

    def _in_thread(self, work: Callable[[], None]) -> None:
        self._connection.ioloop.add_callback_threadsafe(work)
