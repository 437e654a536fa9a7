"""Requests that are made to be misread: each is refused at once, and others are answered as they are."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
import wire
from programs import TOKEN, Process
from running import WEB

SLOW = 2.0
LONG = 32_000
POST = b"POST /v1/sign HTTP/1.1\r\n"
CLEVER = {
    "a target of digits": b"GET a://" + b"1" * LONG + b" HTTP/1.x\r\n\r\n",
    "a long scheme": b"GET " + b"a" * (LONG // 2) + b"://" + b"1" * (LONG // 2) + b" x\r\n\r\n",
    "blanks in a header": b"GET / HTTP/1.1\r\nA:" + b" " * LONG + b"\x00\r\n\r\n",
    "blanks in folded lines": b"GET / HTTP/1.1\r\nA:" + (b"\r\n" + b" " * 60) * 500 + b"\x00\r\n\r\n",
    "words and blanks": b"GET / HTTP/1.1\r\nA: " + (b"x" + b" " * 60) * 500 + b"\x00\r\n\r\n",
    "an address that is none": b"GET http://[aaa HTTP/1.1\r\n\r\n",
    "no version": b"GET / HTTP/x\r\n\r\n",
    "four words": b"GET / / HTTP/1.1\r\n\r\n",
    "a lower-case method": b"get / HTTP/1.1\r\n\r\n",
    "NUL in the target": b"GET /v1/sign/\x00 HTTP/1.1\r\nX-Auth-Token: t\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nA: b\rX-Auth-Token: t\r\n\r\n",
    "a bare line feed": b"GET / HTTP/1.1\nA: b\r\n\r\n",
    "a name with a blank": POST + b"Content-Length : 5\r\n\r\nhello",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a length of digits without end": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a coding nobody knows": POST + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "vertical tabs around a coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", CLEVER.values(), ids=CLEVER)
def test_what_is_made_to_be_misread_is_refused_at_once(standing: Process, raw: bytes) -> None:
    """In the form of all errors, or as a path that is not there; nothing is slow, for nobody."""
    began = time.monotonic()
    with wire.connect(standing.url) as connection:
        connection.sendall(raw)
        refused = wire.answer(connection)
        left = time.monotonic() - began
    assert refused.status in {400, 401, 404, 413, 501}, refused.body
    assert json.loads(refused.body)["error"]["request_id"].startswith("req-")
    assert left < SLOW
    assert wire.seconds(standing.url) < SLOW


PUBLIC = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = b"GET /v1/server HTTP/1.1\r\nHost: x\r\nX-Smuggled: 1\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (len(SMUGGLED) + 5),
        b"Transfer-Encoding: chunked\r\nContent-Length: %d" % (len(SMUGGLED) + 5),
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer_Encoding: chunked",
        b"Content_Length: 3",
        b"Content-Length: 3\r\nContent_Length: 30",
    ],
)
def test_no_request_hides_in_the_body_of_another(standing: Process, head: bytes) -> None:
    """Where the length is said twice, or so that proxies read it otherwise: no request has a token."""
    sent = POST + b"Host: x\r\n" + head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED
    found = everything(standing.url, sent)
    assert b" 200 " not in found
    assert found.count(b"HTTP/1.1 ") + found.count(b"HTTP/1.0 ") in {1, 2}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked" % (len(SMUGGLED) + 5),
        b"HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 5",
        b"HTTP/1.1\r\nTransfer-Encoding: chunked, chunked",
        b"HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: Chunked",
        b"HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
        b"HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    ],
)
def test_a_length_that_is_said_twice_ends_the_connection(standing: Process, head: bytes) -> None:
    """What follows may be in the body of the first request, as a proxy in front reads it."""
    sent = b"POST /v1/sign " + head + b"\r\nHost: x\r\n\r\n0\r\n\r\n" + PUBLIC
    found = everything(standing.url, sent)
    assert len(re.findall(rb"HTTP/1\.[01] 400 ", found)) == 1
    assert found.count(b"HTTP/1.") == 1


def test_names_with_underscores_are_no_headers(standing: Process) -> None:
    """For WSGI X_Auth_Token and X-Auth-Token are the same; a proxy that strips the one passes the other."""
    assert wire.ask(standing.url, "/v1/sign", None, f"X_Auth_Token: {TOKEN}").status == 401


@pytest.mark.parametrize("count", [100, 6000])
def test_many_headers(standing: Process, count: int) -> None:
    """As many as fit into 32 KiB are read in no time; claims among them count for nothing."""
    lines = [f"A{one % 100}: b" if count > 1000 else f"X-User-{one}: admin" for one in range(count)]
    began = time.monotonic()
    answered = wire.ask(standing.url, "/v1/sign", None, *lines)
    assert answered.status in {401, 431}
    assert time.monotonic() - began < SLOW


@pytest.mark.parametrize(
    "query", ["a&" * 15_000, "limit=1&" * 3_500, "%zz" * 10_000, "limit=" + "9" * 30_000]
)
def test_huge_queries(standing: Process, query: str) -> None:
    """Refused by what is wrong with them, in no time."""
    began = time.monotonic()
    answered = wire.ask(standing.url, f"/v1/sign?{query}", TOKEN)
    assert answered.status == 400
    assert time.monotonic() - began < SLOW


def test_pipelined_requests_are_answered_in_order(standing: Process) -> None:
    """Eight may wait; those behind them are 429, and the connection is closed."""
    eight = (
        wire.request("/v1") * 4
        + wire.request("/v1/sign") * 3
        + wire.request("/", None, "GET", "Connection: close")
    )
    answered = everything(standing.url, eight)
    assert re.findall(rb"HTTP/1.1 (\d+) ", answered) == [b"200"] * 4 + [b"401"] * 3 + [b"200"]
    answered = everything(standing.url, wire.request("/v1") * 150)
    assert 1 <= answered.count(b" 200 OK") <= 10
    assert answered.count(b" 429 Too Many Requests") == 1
    assert b"Retry-After: " in answered


def everything(url: str, sent: bytes) -> bytes:
    """Return all that comes back until the connection is closed, or nothing comes any more."""
    found = b""
    with wire.connect(url, 3) as connection, contextlib.suppress(OSError):
        connection.sendall(sent)
        while part := connection.recv(65536):
            found += part
    return found


ODD = [
    "//v1/sign",
    "/v1//sign",
    "/v1/sign/",
    "/v1/./sign",
    "/v1/../v1/sign",
    "/%76%31/sign",
    "/v1/sign%2f",
    "/v1/sign;a=b",
    "/v1/sign%00",
    "/v1/sign%0d%0aX-Auth-Token:%20t",
    "/V1/SIGN",
    "/v1/sign?",
    "/v1/sign#x",
    "/v1/sign/%2e%2e/sign",
    "/healthcheck/../v1/sign",
    "/healthcheck/%2e%2e/v1/sign",
    "/openapi.json/../v1/sign",
    "/metrics/../v1/sign",
    "/healthcheck?detailed",
    "/healthcheck?$detailed",
    "/healthcheck?%64etailed",
    "/healthcheck?detailed=true",
    "/metrics?detailed",
    "/metrics?$detailed=",
    "/healthcheck/?detailed",
    "/metrics/?detailed",
]
CLAIMS = (
    "X-Identity-Status: Confirmed",
    "X-Roles: admin",
    "X-User-Id: admin",
    "X-User-Name: admin",
    "X-Project-Id: admin",
    "X-Is-Admin-Project: True",
    "OpenStack-System-Scope: all",
    "X-Service-Token: admin",
    "X-Forwarded-User: admin",
    "X-Remote-User: admin",
    "Authorization: Basic YWRtaW46YWRtaW4=",
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: for=127.0.0.1",
    "X-Original-URL: /healthcheck",
    "X-Rewrite-URL: /healthcheck",
    "X-HTTP-Method-Override: GET",
)


@pytest.mark.parametrize("path", ODD)
def test_no_odd_path_and_no_claim_gets_past_the_token(standing: Process, path: str) -> None:
    """An identity that a client claims, in any header: the only answers are refusals."""
    answered = wire.ask(standing.url, path, None, *CLAIMS)
    assert answered.status in {400, 401, 404}
    assert WEB.encode() not in answered.body
