"""Connections that are held without need: others are answered all the same, and these are closed."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import wire
from programs import TOKEN, Process, started
from running import WEB, until

QUICK = 2.0
"""Seconds within which others are answered, on a machine with other work: it is milliseconds."""
ARRIVAL = 10.0
PARTS = {
    "nothing": b"",
    "half a header": b"GET /v1/sign HTTP/1.1\r\nX-Auth-To",
    "a body that does not come": b"POST /v1/sign HTTP/1.1\r\nContent-Length: 60000\r\n\r\n{",
    "a chunk that does not come": b"POST /v1/sign HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{",
    "kept alive": b"GET /healthcheck/live HTTP/1.1\r\n\r\n",
}


def metric(process: Process, name: str, prefix: str = "sealward_") -> float:
    """Return a metric of the process, by its name and labels as they are printed."""
    text = wire.ask(process.url, "/metrics").body.decode()
    return float(re.findall(rf"^{prefix}{re.escape(name)} (\S+)$", text, re.MULTILINE)[0])


@pytest.mark.parametrize("sent", PARTS.values(), ids=PARTS)
def test_two_hundred_idle_connections_hold_up_nobody(standing: Process, sent: bytes) -> None:
    """Of the same address, after any input: a token's owner is answered at once, and so is health."""
    with wire.many(standing.url, 200, sent):
        for path, token in (("/healthcheck/live", None), ("/healthcheck/ready", None), ("/v1/sign", TOKEN)):
            began = time.monotonic()
            assert wire.ask(standing.url, path, token).status == 200
            assert time.monotonic() - began < QUICK
        assert standing.ask("GET", "/v1/server")[0] == 200


def test_an_address_has_so_many_connections_and_no_more(standing: Process) -> None:
    """Further ones take the place of those that are idle for longest, first of those that never asked."""
    until(lambda: metric(standing, "http_connections") <= 1)  # those of the test before have gone
    with wire.many(standing.url, 128, PARTS["kept alive"]) as asked:
        until(lambda: all(one.recv(4096, socket.MSG_PEEK) for one in asked))
        with wire.many(standing.url, 100):
            wire.seconds(standing.url)
            assert metric(standing, "http_connections") <= 128
            open_still = [one for one in asked if not wire.is_closed(one)]
            assert len(open_still) >= 128 - 100 - 2
    assert metric(standing, 'http_closed_total{reason="made-room"}') > 0


def test_a_thousand_connections_of_many_addresses(tmp_path: Path) -> None:
    """Loopback has many: all together they are as many as there can be, and who asks is answered."""
    with started(tmp_path) as process, contextlib.ExitStack() as held:
        url = process.url
        where = urlsplit(url)
        for number in range(1000):
            one = socket.socket()
            held.callback(one.close)
            one.bind((f"127.1.{number // 100}.1", 0))
            one.connect((str(where.hostname), where.port))
        assert min(wire.seconds(url) for _ in range(3)) < QUICK
        assert wire.ask(url, "/v1/server", TOKEN).status == 200
        assert metric(process, "http_connections") > 900


def test_what_comes_byte_by_byte_is_closed(api: Process) -> None:
    """Headers, a body, chunks, blank lines before a request: a byte a second keeps none of them open."""
    drips = {
        "headers": b"GET /v1/sign HTTP/1.1\r\nX-Slow: " + b"a" * 100,
        "a body": b"POST /v1/sign HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b" " * 100,
        "chunks": b"POST /v1/sign HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20,
        "an extension": b"POST /v1/sign HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 100,
        "blank lines": b"\r\n" * 50,
    }
    with wire.many(api.url, len(drips)) as connections:
        began = time.monotonic()
        still = dict(zip(drips, connections, strict=True))
        for at in range(100):
            for name, one in list(still.items()):
                if wire.is_closed(one):
                    del still[name]
                    continue
                with contextlib.suppress(OSError):
                    one.send(drips[name][at : at + 1] if at else drips[name].partition(b"\r\n\r\n")[0][:60])
            if not still:
                break
            time.sleep(0.25)
        assert not still, f"open after {time.monotonic() - began:.0f} s: {', '.join(still)}"
        assert ARRIVAL - 1 < time.monotonic() - began < ARRIVAL + 5
    assert metric(api, 'http_closed_total{reason="late"}') >= len(drips)


def test_who_does_not_read_is_closed_and_holds_no_thread(api: Process) -> None:
    """Eight answers of a quarter of a megabyte each wait on every connection, and nobody reads them."""
    pipelined = wire.request("/openapi.json") * 8
    before = metric(api, "process_resident_memory_bytes", prefix="")
    with contextlib.ExitStack() as held:
        deaf = [held.enter_context(wire.connect(api.url, receive=4096)) for _ in range(60)]
        for one in deaf:
            one.sendall(pipelined)
        time.sleep(1)
        assert min(wire.seconds(api.url) for _ in range(3)) < QUICK
        assert wire.ask(api.url, "/v1/server", TOKEN).status == 200
        grown = metric(api, "process_resident_memory_bytes", prefix="") - before
        assert grown < 60 * 500_000, "more than one answer of each connection is in memory"
        until(lambda: metric(api, 'http_closed_total{reason="slow-reader"}') >= 60, 40)


def test_who_reads_slowly_but_reads_gets_it_all(api: Process) -> None:
    """A slow line is no attack: an answer that is read at 100 KB a second arrives whole."""
    whole = wire.ask(api.url, "/openapi.json").body
    with wire.connect(api.url, receive=4096) as slow:
        slow.sendall(wire.request("/openapi.json", None, "GET", "Connection: close"))
        found = b""
        while part := slow.recv(10_000):
            found += part
            time.sleep(0.1)
    assert found.partition(b"\r\n\r\n")[2] == whole


def test_a_client_that_closes_half_is_gone(standing: Process) -> None:
    """It has shut down its side: the connection is closed, nothing of it is left."""
    before = metric(standing, "http_connections")
    with wire.many(standing.url, 50, b"GET /v1/sign HTTP/1.1\r\n") as connections:
        for one in connections:
            one.shutdown(socket.SHUT_WR)
        until(lambda: metric(standing, "http_connections") <= before + 1, 5)
        assert all(wire.is_closed(one) for one in connections)


def reset(connection: socket.socket) -> None:
    """Vanish, as a client that is killed: with a reset, not with an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [reset, socket.socket.close], ids=["reset", "closed"])
def test_readers_of_streams_that_vanish_give_their_places_back(
    standing: Process, leave: Callable[[socket.socket], None]
) -> None:
    """Again and again: each time there is room for as many."""
    for _ in range(3):
        for one in [stream(standing) for _ in range(6)]:
            leave(one)


def stream(process: Process) -> socket.socket:
    """Open a stream; one whose client has gone may still count for a moment."""
    deadline = time.monotonic() + 5
    while True:
        connection = wire.connect(process.url)
        connection.sendall(wire.request("/v1/events", TOKEN, "GET", "Accept: text/event-stream"))
        if b" 200 OK" in connection.recv(4096):
            return connection
        connection.close()
        assert time.monotonic() < deadline, "no place was given back"
        time.sleep(0.1)


def test_a_body_of_sixteen_megabytes_is_refused_at_its_header(standing: Process) -> None:
    """Without a token nothing of it is kept, in memory or in a file; the client can read why."""
    size = 16 * 1024 * 1024
    with wire.connect(standing.url) as connection:
        connection.sendall(b"POST /v1/sign HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
        with contextlib.suppress(OSError):
            for _ in range(200):
                connection.sendall(b" " * 65536)
        refused = wire.answer(connection)
    assert (refused.status, wire.reason(refused)) == (413, "http.too-large")


def test_a_chunked_body_has_an_end(standing: Process) -> None:
    """Also one of tiny chunks with long extensions, or of none but extensions."""
    head = (
        b"POST /v1/sign HTTP/1.1\r\nX-Auth-Token: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % TOKEN.encode()
    )
    tails = {
        "extensions": b"1;" + b"a" * 300_000 + b"\r\na\r\n0\r\n\r\n",
        "many": (b"1;a=b\r\na\r\n" * 30_000) + b"0\r\n\r\n",
        "a trailer": b"0\r\n" + b"X: y\r\n" * 60_000 + b"\r\n",
        "a size": b"f" * 300_000 + b"\r\n",
    }
    for name, tail in tails.items():
        began = time.monotonic()
        with wire.connect(standing.url) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(head + tail)
            assert wire.answer(connection).status in {400, 413}, name
        assert time.monotonic() - began < 5, name
    assert wire.ask(standing.url, "/v1/server", TOKEN).status == 200


def test_a_chunked_body_arrives(standing: Process) -> None:
    """As other servers lose it: a POST that comes in chunks is carried out."""
    body = json.dumps({"server_id": WEB}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    with wire.connect(standing.url) as connection:
        head = wire.request(
            "/v1/sign", TOKEN, "POST", "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        connection.sendall(head + chunks)
        assert wire.answer(connection).status == 201
