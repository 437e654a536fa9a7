"""All slow calls are used up to their limits: the rest of the API does not notice."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import wire
from running import WEB, Running, running, until

from sealward.control.postgres import PostgresControl
from sealward.control.role import Role
from sealward.control.tokens import Tokens
from sealward.events.base import utc_now
from stack.sealward import Stack

pytestmark = pytest.mark.alone  # how fast answers come while all else is taken
QUICK = 2.0
PAST = "/v1/sign?at=2026-01-02T03:04:05Z"
WORKERS = ("worker-1", "worker-2")


@pytest.fixture(scope="module")
def stuck(attacked: Stack) -> Iterator[Stack]:
    """Yield the topology without its workers: every write waits for as long as it may."""
    for name in WORKERS:
        attacked.kill(name)
    yield attacked
    for name in WORKERS:
        attacked.start_process(name)
    until(lambda: attacked.ask("GET", "/v1/node/1")[1]["node"]["reachable"], 30)


@pytest.fixture
def tokens(stuck: Stack) -> list[str]:
    """Return the tokens of four officers."""
    control = PostgresControl(stuck.postgres.url())
    try:
        issued = Tokens(control, utc_now)
        return [issued.issue(f"officer-{one}-{time.time_ns()}", Role.SECURITY_OFFICER) for one in range(4)]
    finally:
        control.close()


def quick(url: str, path: str, token: str | None = None) -> None:
    """Check that a call is answered as if nothing was."""
    began = time.monotonic()
    assert wire.ask(url, path, token).status == 200
    assert time.monotonic() - began < QUICK


BODY = b'{"action": "activate"}'
WRITING = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
STREAMING = "Accept: text/event-stream"


def start_write(url: str, token: str) -> socket.socket:
    """Switch the node, and do not wait for the answer."""
    connection = wire.connect(url)
    connection.sendall(wire.request("/v1/sign/node/1/action", token, "POST", *WRITING) + BODY)
    return connection


def test_waiting_writes_and_streams_leave_everything_else_as_it_was(stuck: Stack, tokens: list[str]) -> None:
    """Sixteen writes wait for each of three tokens, six streams are open for each: all an address may have.

    A further one of a token, and of another token at that address, is 429 with Retry-After.
    """
    url = stuck.apis["api-1"]
    with contextlib.ExitStack() as held:
        for token in tokens[:3]:
            held.enter_context(wire.many(url, 6, wire.request("/v1/events", token, "GET", STREAMING)))
            for _ in range(16):
                held.enter_context(start_write(url, token))
                time.sleep(0.03)  # one after the other: who writes at the same moment contends
        until(lambda: wire.ask(url, "/v1/events", tokens[0], STREAMING).status == 429, 5)
        for token in (tokens[0], tokens[3]):
            write = wire.answer(held.enter_context(start_write(url, token)))
            stream = wire.ask(url, "/v1/events", token, STREAMING)
            assert (write.status, wire.reason(write)) == (429, "writes.too-many")
            assert (stream.status, wire.reason(stream)) == (429, "events.too-many-streams")
            assert min(int(one.headers["retry-after"]) for one in (write, stream)) > 0
        for path in ("/healthcheck/live", "/healthcheck/ready", "/healthcheck", "/metrics"):
            quick(url, path)
        for path in ("/v1/sign", "/v1/server", "/v1/events?limit=1", PAST):
            quick(url, path, tokens[3])


def test_what_is_refused_is_counted(stuck: Stack, tokens: list[str]) -> None:
    """So that an alert can say so."""
    url = stuck.apis["api-1"]
    with wire.many(url, 6, wire.request("/v1/events", tokens[0], "GET", STREAMING)):
        until(lambda: wire.ask(url, "/v1/events", tokens[0], STREAMING).status == 429, 5)
    name = 'sealward_http_limited_total{limit="streams"}'
    (line,) = [one for one in wire.ask(url, "/metrics").body.decode().splitlines() if one.startswith(name)]
    assert float(line.split()[1]) >= 1


def test_the_store_is_away_and_the_process_lives(stuck: Stack) -> None:
    """Requests without end wait for PostgreSQL; `live` does not, and `ready` says so in the end."""
    url = stuck.apis["api-2"]
    stuck.postgres.stop()
    try:
        asked, ready = wire.request("/v1/sign", stuck.token), wire.request("/healthcheck/ready")
        with wire.many(url, 100, asked), wire.many(url, 20, ready):
            for _ in range(3):
                assert wire.seconds(url) < QUICK
    finally:
        stuck.postgres.start()
    until(lambda: wire.ask(url, "/healthcheck/ready").status == 200, 30)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Running]:
    """Return a Sealward in this process."""
    with running(tmp_path) as one:
        one.sign(WEB)
        yield one


def test_questions_about_the_past_hold_up_nothing_else(embedded: Running) -> None:
    """One is answered at a time. Two of a token can wait, a third is 429; six of an address."""
    past = embedded.embedded.control_plane._past
    readers = [embedded.token_of(Role.AUDITOR) for _ in range(4)]
    with past._lock, contextlib.ExitStack() as held:
        for reader in readers[:3]:
            held.enter_context(wire.many(embedded.url, 2, wire.request(PAST, reader)))
        until(lambda: wire.ask(embedded.url, PAST, readers[0]).status == 429, 5)
        for reader in (readers[0], readers[3]):
            refused = wire.ask(embedded.url, PAST, reader)
            assert (refused.status, wire.reason(refused)) == (429, "past.busy")
            assert int(refused.headers["retry-after"]) > 0
        for path in (f"/v1/sign/{WEB}", "/v1/sign", "/v1/server"):
            quick(embedded.url, path, readers[3])
    until(lambda: wire.ask(embedded.url, PAST, readers[0]).status == 200, 10)


def test_a_flood_of_one_client_holds_up_another_by_one_request(embedded: Running) -> None:
    """The queue goes round by address: many ask without a pause from one, from another now and then one."""
    flood = wire.request("/v1/server", embedded.token) * 8
    with ThreadPoolExecutor(12) as pool:
        until_then = time.monotonic() + 4

        def ask_on() -> int:
            answered = 0
            while time.monotonic() < until_then:
                with wire.connect(embedded.url) as one:
                    one.sendall(flood)
                    answered += sum(wire.answer(one).status == 200 for _ in range(1))
            return answered

        flooding = [pool.submit(ask_on) for _ in range(12)]
        time.sleep(0.5)
        took = []
        while time.monotonic() < until_then - 0.5:
            began = time.monotonic()
            with wire.connect(embedded.url, source="127.1.1.1") as other:
                other.sendall(wire.request("/v1/sign", embedded.token))
                assert wire.answer(other).status == 200
            took.append(time.monotonic() - began)
        assert sum(one.result() for one in flooding) > 50
    assert sorted(took)[len(took) // 2] < 0.5


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET"])
def test_floods_that_need_no_token(embedded: Running, method: str) -> None:
    """HEAD, OPTIONS and GET of what is public, or of nothing, from a hundred connections."""
    for path in ("/openapi.json", "/healthcheck/ready", "/nowhere"):
        with wire.many(embedded.url, 100, wire.request(path, None, method) * 8):
            quick(embedded.url, "/healthcheck/live")
            quick(embedded.url, "/v1/sign", embedded.token)
