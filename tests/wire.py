"""HTTP by hand, for clients that keep to no rules: bytes in, what comes back out."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from running import Answer

PATIENCE = 20


def connect(
    url: str, timeout: float = PATIENCE, *, receive: int | None = None, source: str | None = None
) -> socket.socket:
    """Connect to where a URL points.

    `receive` is how many bytes the client's kernel takes at most, `source` the address that it comes from.
    """
    where = urlsplit(url)
    connection = socket.socket(socket.AF_INET6 if ":" in str(where.hostname) else socket.AF_INET)
    if receive is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    if source is not None:
        connection.bind((source, 0))
    connection.settimeout(timeout)
    connection.connect((str(where.hostname), where.port or 0))
    return connection


@contextlib.contextmanager
def many(url: str, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open many connections, each of which sends something first; close them in the end."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(connect(url))
            with contextlib.suppress(OSError):
                opened[-1].sendall(sent)
        yield opened
    finally:
        for one in opened:
            one.close()


def request(path: str = "/", token: str | None = None, method: str = "GET", *more: str) -> bytes:
    """Return a request without a body as bytes; `more` are lines of headers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *more]
    lines += [] if token is None else [f"X-Auth-Token: {token}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one answer; of a stream of events its head alone."""
    with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as got:
        got.begin()
        headers = {name.lower(): value for name, value in got.getheaders()}
        endless = headers.get("content-type") == "text/event-stream"
        return Answer(got.status, headers, b"" if endless else got.read())


def ask(url: str, path: str = "/", token: str | None = None, *more: str, method: str = "GET") -> Answer:
    """Make one call over a connection of its own."""
    with connect(url) as connection:
        connection.sendall(request(path, token, method, *more))
        return answer(connection, method)


def seconds(url: str, path: str = "/healthcheck/live") -> float:
    """Return how long a call takes, with its connection; it must be answered 200."""
    began = time.monotonic()
    assert ask(url, path).status == 200
    return time.monotonic() - began


def is_closed(connection: socket.socket) -> bool:
    """Say whether the server has closed a connection; what it sent before is thrown away."""
    connection.settimeout(0)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def reason(answered: Answer) -> str:
    """Return the stable code of an error."""
    code: str = json.loads(answered.body)["error"]["reason"]
    return code
