"""The HTTP server: waitress, in the process, with limits on what a client can take from other clients.

docs/adr/0031 gives the reasons for waitress and for each limit.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer

from sealward.http.limits.limits import AT_ONCE
from sealward.http.limits.turns import Lanes
from sealward.http.listening.certificate import Certificate
from sealward.http.listening.client import Proxies, client_at
from sealward.http.listening.connection import Channel, TlsChannel
from sealward.http.listening.traffic import Traffic
from sealward.http.operation.body import MAX_BODY
from sealward.settings import Serving

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon

log = logging.getLogger(__name__)

THREADS: Final = 16
"""Threads for requests that wait for nothing but the store.

Requests that may wait longer have threads of their own.
"""
MAX_HEADER: Final = 32 * 1024
"""Bytes of a request line with its headers, at most."""
MAX_ON_ITS_WAY: Final = 2 * MAX_BODY
"""Bytes of a body with the chunks' own lines, at most. The application limits the body itself."""
MOST: Final = 2000
"""Connections that are open at once, where the limit of open files allows as many."""
FILES: Final = 4096
"""Open files that the process asks the system for."""
OTHER_FILES: Final = 256
"""Open files that are not connections of clients."""
SPARE: Final = 16
"""Connections that an address may have beyond its limit, on which it is told that the limit is reached."""
ACCEPTED: Final = 32
"""Connections that are accepted in a row, before those that are open are served."""
IDLE: Final = 30
"""Seconds for which a connection without a request stays open."""
UNACKNOWLEDGED: Final = 30_000
"""Milliseconds after which the kernel gives up a client that acknowledges nothing (TCP_USER_TIMEOUT)."""
KERNEL: Final = 128 * 1024
"""Bytes of an answer that the kernel buffers for a client. Its default grows to 4 MB for each."""
OPTIONS: Final = (
    (socket.SOL_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL),
)


class Server(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Accepts connections, as many as there is room for. Its methods run in the server's own thread."""

    def __init__(
        self,
        app: falcon.App[Any, Any],
        adjustments: Adjustments,
        sockets: dict[int, Any],
        serving: Serving,
        traffic: Traffic,
    ) -> None:
        self.traffic = traffic
        self._proxies = Proxies(serving.proxies, serving.proxy_header)
        self._own = serving.limits.connections
        self._most = _room()
        self._certificate = None
        if serving.certificate is not None and serving.key is not None:
            self._certificate = Certificate(serving.certificate, serving.key)
        self._open: dict[str, set[Channel]] = {}
        self.lanes = Lanes(THREADS, THREADS + AT_ONCE)
        traffic.connections, traffic.most_connections = self._count, self._most
        super().__init__(
            app, sockets, dispatcher=self.lanes.main, adj=adjustments, sockinfo=adjustments.listen[0]
        )

    @property
    def scheme(self) -> str:
        """Return `https` where there is a certificate, else `http`."""
        return "http" if self._certificate is None else "https"

    def add_task(self, channel: Channel) -> None:
        """Have the next request of a connection served. The threads that answer call this, too."""
        if channel.park():
            return
        channel.asked = True
        if self._proxies.trusts(channel.peer.address):
            chain = channel.requests[0].headers.get(self._proxies.header, "")
            channel.client = self._proxies.client_behind(channel.peer.address, chain)
        self.lanes.add(channel)

    def handle_accept(self) -> None:
        """Accept connections that wait, at most ACCEPTED at a time."""
        for _ in range(ACCEPTED):
            try:
                pair = self.accept()
            except OSError:  # there are no files left
                self._make_room(self.active_channels.values())
                return
            if pair is None:
                return
            self._welcome(*pair)

    def set_socket_options(self, connection: socket.socket) -> None:
        """Set the socket options of a connection."""
        for option in OPTIONS:
            connection.setsockopt(*option)

    def maintenance(self, now: float) -> None:
        """Close connections that are idle for too long, late, or not read."""
        super().maintenance(now)
        moment = time.monotonic()
        for channel in list(self.active_channels.values()):
            reason = channel.overdue(moment)
            if reason is not None:
                self._close(channel, reason)

    def left(self, channel: Channel) -> None:
        """Stop counting a connection that was closed."""
        of_client = self._open.get(channel.peer.key, set())
        of_client.discard(channel)
        if not of_client:
            self._open.pop(channel.peer.key, None)

    def _count(self) -> int:
        return len(self.active_channels)

    def _welcome(self, connection: socket.socket, addr: Any) -> None:  # noqa: ANN401 - as above
        """Make a connection of an accepted socket. A client with too many connections loses an idle one."""
        peer = client_at(addr[0])
        own = () if self._proxies.trusts(peer.address) else self._open.get(peer.key, ())
        is_too_many = len(own) >= self._own and not self._make_room(own)
        has_room = len(self.active_channels) < self._most or self._make_room(self.active_channels.values())
        if not has_room or (is_too_many and len(own) >= self._own + SPARE):
            self.traffic.close("no-room")
            connection.close()
            return
        try:
            channel = self._channel(connection, addr)
        except OSError:  # the client has gone already
            connection.close()
            return
        self._open.setdefault(peer.key, set()).add(channel)
        if is_too_many:
            self.traffic.limit("connections")
            channel.refuse(f"{self._own} connections of your address are busy; wait for their answers.")

    def _channel(self, connection: socket.socket, addr: Any) -> Channel:  # noqa: ANN401 - as above
        self.set_socket_options(connection)
        if self._certificate is None:
            return Channel(self, connection, addr, self.adj, map=self._map)
        context = self._certificate.context()
        over = context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        return TlsChannel(self, over, addr, self.adj, map=self._map)

    def _make_room(self, among: Iterable[Channel]) -> bool:
        """Close the connection that has been idle for longest; those that never had a request come first.

        Returns False when all are busy.
        """
        idle = [one for one in among if not one.is_busy]
        if not idle:
            return False
        self._close(min(idle, key=lambda one: (one.asked, one.since)), "made-room")
        return True

    def _close(self, channel: Channel, reason: str) -> None:
        self.traffic.close(reason)
        channel.lingers, channel.is_polled = False, True
        channel.handle_close()


class Listener:
    """Serves an application on one address until it is stopped.

    Raises OSError when the address cannot be bound, SettingRefused when the certificate cannot be used.
    """

    def __init__(
        self,
        app: falcon.App[Any, Any],
        host: str,
        port: int,
        serving: Serving | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        self._sockets: dict[int, Any] = {}
        adjustments = Adjustments(
            host=host,
            port=port,
            threads=THREADS,
            ident="sealward",
            max_request_header_size=MAX_HEADER,
            max_request_body_size=MAX_ON_ITS_WAY,
            inbuf_overflow=2 * MAX_ON_ITS_WAY,  # no body gets into a file
            connection_limit=2 * MOST,  # the server's own limits are lower
            backlog=1024,
            asyncore_use_poll=True,
            log_socket_errors=False,  # clients that vanish are nothing to say
            cleanup_interval=1,
            channel_timeout=IDLE,
            channel_request_lookahead=1,  # so that streams learn when their client has gone
        )
        self._server = Server(app, adjustments, self._sockets, serving or Serving(), traffic or Traffic())
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Return the URL of the server; for port 0 it has the port that the system chose."""
        host, port = self._server.effective_host, self._server.effective_port
        return (
            f"{self._server.scheme}://[{host}]:{port}"
            if ":" in host
            else f"{self._server.scheme}://{host}:{port}"
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Answer the requests under way, then end. Only the server's own thread may close its sockets."""
        self._server.lanes.shutdown(timeout=5)
        with contextlib.suppress(OSError):  # the server's thread closed the trigger before it was let go
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets, ignore_all=True))
        if self._thread.is_alive():
            self._thread.join(5)


def _room() -> int:
    """Return how many connections can be open, after asking the system for more open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else max(OTHER_FILES, min(MOST, soft - OTHER_FILES))
