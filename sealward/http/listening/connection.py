"""A connection of the HTTP server: waitress's channel with deadlines, with or without TLS.

Measured on waitress 3.0.2 without these deadlines: 100 connections that send nothing block all other clients;
a connection that sends a byte every two seconds, or whose client reads nothing, stays open for ever.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error as Unserved

from sealward import logs
from sealward.http.listening.client import client_at
from sealward.http.listening.parser import Parser
from sealward.http.operation.access_log import NOWHERE, Answered, log
from sealward.http.operation.errors import Error, ErrorAnswer
from sealward.http.operation.request_id import HEADER, new_request_id

if TYPE_CHECKING:
    import socket


ARRIVAL: Final = 10.0
"""Seconds within which a whole request must arrive, from the opening of the connection or the first byte
on."""
LINGER: Final = 2.0
"""Seconds for which the input of a refused client is read and discarded, so that the answer reaches the
client."""
PATIENCE: Final = 10.0
RATE: Final = 16 * 1024
"""Bytes a second that a client must read of its answer, checked every PATIENCE seconds."""
PIPELINED: Final = 8
"""Requests that may wait on a connection, at most."""
RETRY_AFTER: Final = 2
"""Seconds after which a client with too many connections may try again."""

REASONS: Final = {
    413: "http.too-large",
    429: "http.too-many",
    431: "http.too-large",
    500: "internal",
    501: "http.not-implemented",
}
"""Stable codes of refusals before there is a request. Other input counts as malformed."""


class TooMany(Unserved):  # type: ignore[misc]  # waitress has no types
    """A client has too many connections open, or too many requests on one of them."""

    code = HTTPStatus.TOO_MANY_REQUESTS.value
    reason = HTTPStatus.TOO_MANY_REQUESTS.phrase


class Task(WSGITask):  # type: ignore[misc]  # as above
    """A request that the application answers."""

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment, with the client and a function for the number of unsent bytes."""
        environment: dict[str, Any] = super().get_environment()
        environment["sealward.client"] = self.channel.client
        environment["sealward.unsent"] = self.channel.unsent
        return environment


class Refused(ErrorTask):  # type: ignore[misc]  # as above
    """Answers malformed requests, and requests beyond a limit, in the form that all errors have."""

    def execute(self) -> None:
        """Answer, and close the connection."""
        refused, request_id = self.request.error, new_request_id()
        reason = REASONS.get(refused.code, "http.malformed")
        error = Error(refused.code, HTTPStatus(refused.code).phrase, str(refused.body), reason, request_id)
        body = msgspec.json.encode(ErrorAnswer(error))
        self.status = f"{refused.code} {refused.reason}"
        self.response_headers += [("Content-Type", "application/json"), (HEADER, request_id)]
        if refused.code == HTTPStatus.TOO_MANY_REQUESTS:
            self.response_headers.append(("Retry-After", str(RETRY_AFTER)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.lingers = True
        self.write(body)
        with logs.about(request_id=request_id):
            log.info(Answered("other", NOWHERE, refused.code, 0.0, self.channel.client.address))


class Channel(HTTPChannel):  # type: ignore[misc]  # as above
    """A connection.

    Unless its docstring says otherwise, a method runs in the server's own thread, which alone closes
    connections.
    """

    task_class = Task
    error_task_class = Refused
    parser_class = Parser

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, **more: Any) -> None:  # noqa: ANN401 - waitress has no types
        self.peer = self.client = client_at(addr[0])
        """The connected peer, and the client of the present request: behind a proxy these differ."""
        self.asked = False
        """Whether a whole request has ever arrived."""
        self.since = time.monotonic()
        """When the connection was opened, or last became idle or busy."""
        self.arriving = True
        """Whether a request must arrive: the first request, or a request that has begun to arrive."""
        self.lingers = self._is_draining = self._is_parked = self._has_left = False
        self.is_polled = False
        """Whether poll(2) was ever called for this connection: events of poll before that are about another
        one."""
        self.sent = 0
        """Bytes of answers that were sent."""
        self._waits: tuple[float, int] | None = None
        """Since when an answer waits for its client to read it, and `sent` at that time."""
        super().__init__(server, sock, addr, adj, **more)

    @property
    def is_busy(self) -> bool:
        """Return whether a request is being answered, or its answer is being sent."""
        return bool(self.requests or self.total_outbufs_len or self._is_draining)

    def unsent(self) -> int:
        """Return the number of bytes of answers that wait to be sent. Any thread may call it."""
        return int(self.total_outbufs_len)

    def received(self, data: bytes) -> bool:
        """Process input."""
        if self._is_draining:
            return False
        went_on = bool(super().received(data))
        if len(self.requests) > PIPELINED:
            self._cut_off()
        is_arriving = self.request is not None or not self.asked
        if is_arriving != self.arriving:
            self.arriving, self.since = is_arriving, time.monotonic()
        return went_on

    def overdue(self, now: float) -> str | None:
        """Return why the connection must be closed now, `late` or `slow-reader`; None if it need not be."""
        if self._is_draining:
            return "late" if now - self.since > LINGER else None
        if not self.total_outbufs_len:
            self._waits = None
        elif self._waits is None:
            self._waits = (now, self.sent)
        elif now - self._waits[0] > PATIENCE:
            if self.sent - self._waits[1] < PATIENCE * RATE:
                return "slow-reader"
            self._waits = (now, self.sent)
        is_late = self.arriving and not self.requests and now - self.since > ARRIVAL
        return "late" if is_late else None

    def park(self) -> bool:
        """Let the next request wait until the client has read the answer before it, without holding a thread.

        So a connection has one answer in memory, however many requests wait on it. Any thread may call it.
        Returns whether the request waits.
        """
        self._is_parked = self.asked and self.total_outbufs_len > 0
        return self._is_parked

    def readable(self) -> bool:
        """Return whether more input is to be read.

        After this call, events of poll(2) are about this connection.
        """
        self.is_polled = True
        return bool(super().readable())

    def writable(self) -> bool:
        """Return whether there is something to do when the client can be written to."""
        return bool(self.total_outbufs_len or self._is_parked or self.will_close or self.close_when_flushed)

    def handle_write(self) -> None:
        """Send output that waits; then serve a request that waited for that."""
        super().handle_write()
        if self._is_parked and self.requests and not self.total_outbufs_len:
            self._is_parked = False
            self.server.add_task(self)

    def refuse(self, message: str) -> None:
        """Answer 429 to the next request of any kind, and close the connection."""
        with self.requests_lock:
            self._refuse(message)
        self.server.add_task(self)

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002 - waitress's signature
        """Send a part of the data; return the number of bytes. The threads that answer call this, too."""
        if self.socket is None:
            return 0
        sent: int = super().send(data, do_close)
        self.sent += sent
        return sent

    def handle_close(self) -> None:
        """Close the connection, after a refused client had time to read why.

        A connection that is closed with unread input is reset, and the answer may be lost.

        poll(2) reports descriptors by number. When a round of events begins with the end of one connection,
        the next connection gets the same number, and the round still has an event of the old connection
        (POLLNVAL, POLLHUP). A connection that poll was never called for ignores the event.
        """
        if not self.is_polled:
            return
        if self.lingers and self.connected:
            self.lingers, self.will_close = False, False
            self._is_draining, self.since = True, time.monotonic()
            if self._shut_down():
                return
        super().handle_close()

    def del_channel(self, map: Any = None) -> None:  # noqa: A002, ANN401 - waitress's name
        """Stop counting the connection for its client."""
        super().del_channel(map)
        if not self._has_left:
            self._has_left = True
            self.server.left(self)

    def _cut_off(self) -> None:
        with self.requests_lock:
            for extra in self.requests[PIPELINED:]:
                extra.close()
            del self.requests[PIPELINED:]
            self._refuse(f"{PIPELINED} requests wait on this connection; read the answers first.")

    def _refuse(self, message: str) -> None:
        request = Parser(self.adj)
        request.parse_header(b"GET / HTTP/1.0\r\n")
        request.error, request.completed = TooMany(message), True
        self.requests.append(request)

    def _shut_down(self) -> bool:
        """End the answer, and keep the connection readable. Returns False when the connection is gone."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(1)
            return True
        return False


class TlsChannel(Channel):
    """A connection with TLS. OpenSSL allows one thread at a time, and reads whole records."""

    def __init__(self, server: Any, sock: ssl.SSLSocket, addr: Any, adj: Any, **more: Any) -> None:  # noqa: ANN401 - waitress has no types
        self._tls = threading.Lock()
        super().__init__(server, sock, addr, adj, **more)

    def handle_read(self) -> None:
        """Read input to the end of the record: the kernel does not know about bytes that OpenSSL holds."""
        more = True
        while more and self.socket is not None:
            try:
                with self._tls:
                    data = self.socket.recv(self.adj.recv_bytes)
                    more = self.socket.pending() > 0
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:  # no TLS, or no more of it
                self.server.traffic.close("tls")
                self.lingers = False
                self.handle_close()
                return
            if not data:
                self.handle_close()
                return
            self.last_activity = time.time()
            self.received(data)

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002 - waitress's signature
        """Send a part of the data; return the number of bytes. The threads that answer call this, too."""
        connection = self.socket
        if connection is None:
            return 0
        try:
            with self._tls:
                sent: int = connection.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError:
            if do_close:
                self.lingers = False
                self.handle_close()
            return 0
        self.sent += sent
        return sent

    def close(self) -> None:
        """Send TLS's closing message, then close."""
        if self.socket is not None:
            self._shut_down()
        super().close()

    def _shut_down(self) -> bool:
        with self._tls:
            try:
                self.socket.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):  # the other side has not said so, too
                return True
            except (OSError, ValueError):
                return False
        return True
