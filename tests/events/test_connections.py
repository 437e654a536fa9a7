"""Connections to PostgreSQL are lent, kept, closed and opened anew, through all failures of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from sealward.events.store import postgres_connections
from sealward.events.store.postgres import Database
from sealward.events.store.postgres_connections import Connection, Connections, parameters

PATIENCE = 0.4


class Server:
    """Opens connections of a real server, unless it is away or answers nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.why: Exception | None = None
        self.hangs = threading.Event()
        self.hangs.set()
        self.attempts: list[float] = []

    def __call__(self) -> Connection:
        """Open a connection. Raises what the test says."""
        self.attempts.append(time.monotonic())
        self.hangs.wait(10)
        if self.why is not None:
            raise self.why
        return Connection.connect(self._url, autocommit=True)

    def goes(self) -> None:
        """Be away from now on."""
        self.why = psycopg.OperationalError("connection refused")


@pytest.fixture
def server(empty_database: str) -> Server:
    """Return a server that answers."""
    return Server(empty_database)


@pytest.fixture
def connections(server: Server) -> Iterator[Connections]:
    """Yield at most three connections."""
    made = Connections(server, 3, PATIENCE)
    yield made
    made.close()


@contextmanager
def lent(connections: Connections) -> Iterator[Connection]:
    """Give a connection, and take it back."""
    one = connections.lend()
    try:
        yield one
    finally:
        connections.take_back(one)


def seconds(act: Callable[[], Any]) -> float:
    """Return how long it takes until an act fails because the server is away."""
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        act()
    return time.monotonic() - began


def test_a_connection_is_used_again(connections: Connections) -> None:
    """Threads that come one after the other share one connection."""
    with lent(connections) as first:
        pass
    with lent(connections) as second:
        assert second is first
    assert connections.opened == 1


def test_a_thread_waits_for_a_connection_of_another(connections: Connections) -> None:
    """Where all are lent, it gets the first that comes back, or an error in time."""
    held = [connections.lend() for _ in range(3)]
    assert PATIENCE <= seconds(connections.lend) < PATIENCE + 0.5
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connections.lend)
        time.sleep(PATIENCE / 4)
        connections.take_back(held[0])
        assert waiting.result(5) is held[0]
    for one in held:
        connections.take_back(one)


def test_who_comes_late_does_not_wait(connections: Connections, server: Server) -> None:
    """A short outage is waited for, a long one is answered at once."""
    server.goes()
    first = seconds(connections.lend)
    assert PATIENCE <= first < PATIENCE + 0.5
    assert max(seconds(connections.lend) for _ in range(20)) < PATIENCE / 2


def test_whoever_waits_gets_a_connection_when_the_server_is_back(
    connections: Connections, server: Server
) -> None:
    """A restart is not felt."""
    server.goes()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(connections.lend) for _ in range(3)]
        time.sleep(PATIENCE / 4)
        server.why = None
        for one in waiting:
            connections.take_back(one.result(5))


@pytest.mark.parametrize("outage", [0.1, 3.0])
def test_the_pause_between_attempts_does_not_grow(
    connections: Connections, server: Server, outage: float
) -> None:
    """The first caller after the return is served, however long the server was away."""
    server.goes()
    end = time.monotonic() + outage
    while time.monotonic() < end:
        seconds(connections.lend)
        time.sleep(0.01)
    server.why = None
    began = time.monotonic()
    while True:
        try:
            with lent(connections):
                break
        except psycopg.OperationalError:
            time.sleep(0.01)
    assert time.monotonic() - began < 2 * postgres_connections.AGAIN + 0.3


def test_one_thread_at_a_time_tries_a_server_that_does_not_answer(
    connections: Connections, server: Server
) -> None:
    """Otherwise each thread of the process would hang in an attempt of its own."""
    server.goes()
    seconds(connections.lend)
    time.sleep(postgres_connections.AGAIN)
    server.attempts.clear()
    server.hangs.clear()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(seconds, connections.lend)
        while not server.attempts:
            time.sleep(0.001)
        assert max(seconds(connections.lend) for _ in range(20)) < PATIENCE / 2
        assert len(server.attempts) == 1
        server.hangs.set()
        hanging.result(5)


def test_a_server_without_room_is_not_away(connections: Connections, server: Server) -> None:
    """Where it refuses further connections, threads share those that there are."""
    with lent(connections):
        server.why = psycopg.OperationalError("too many connections for role")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            connections.lend()
        with pytest.raises(psycopg.OperationalError):
            connections.lend()
        assert time.monotonic() - began >= 2 * PATIENCE
    with lent(connections) as found:
        assert found.execute("SELECT 1").fetchone() is not None


def test_a_broken_connection_ends_the_idle_ones(connections: Connections) -> None:
    """They lead to the same server, which may be gone without a word."""
    held = [connections.lend() for _ in range(3)]
    for one in held[1:]:
        connections.take_back(one)
    held[0].close()
    connections.take_back(held[0])
    assert [one.closed for one in held] == [True, True, True]
    with lent(connections):
        assert connections.opened == 4


def test_an_open_transaction_is_not_handed_on(connections: Connections) -> None:
    """The next borrower would work in it."""
    with lent(connections) as one:
        one.execute("BEGIN")
    assert one.closed
    with lent(connections) as other:
        assert other is not one


def test_old_connections_are_closed(connections: Connections) -> None:
    """A process of the server that has served for an hour is let go."""
    with lent(connections) as one:
        one.opened_at -= postgres_connections.LONGEST_LIFE
    assert one.closed


def test_connections_that_nobody_needs_are_closed(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a peak one connection serves, and the others go one by one."""
    monkeypatch.setattr(postgres_connections, "LONGEST_IDLE", 0.05)
    held = [connections.lend() for _ in range(3)]
    for one in held:
        connections.take_back(one)
    for _ in range(3):
        time.sleep(0.06)
        with lent(connections):
            pass
    assert [one.closed for one in held].count(True) == 2


def test_an_unforeseen_error_takes_no_place(connections: Connections, server: Server) -> None:
    """Else three errors would take all places for ever."""
    server.why = ValueError("nonsense")
    for _ in range(5):
        with pytest.raises(ValueError, match="nonsense"):
            connections.lend()
    server.why = None
    held = [connections.lend() for _ in range(3)]
    for one in held:
        connections.take_back(one)


def test_closing_closes_what_is_lent_when_it_comes_back(connections: Connections) -> None:
    """Nothing is lent any more."""
    one = connections.lend()
    connections.close()
    connections.take_back(one)
    assert one.closed
    assert seconds(connections.lend) < PATIENCE / 2


def test_the_url_may_name_other_timeouts() -> None:
    """Its parameters come before the defaults."""
    found = parameters("postgresql://sealward@db.example/sealward?connect_timeout=30")
    assert found["connect_timeout"] == "30"
    assert found["tcp_user_timeout"] == postgres_connections.NOTICED["tcp_user_timeout"]


def test_many_threads_share_few_connections(empty_database: str) -> None:
    """No connection serves two threads at a time."""
    using: list[int] = []
    with Database(empty_database) as database, ThreadPoolExecutor(40) as pool:

        def use(number: int) -> int:
            with database.connection() as one:
                assert id(one) not in using
                using.append(id(one))
                row = one.execute("SELECT %s::int AS n", (number,)).fetchone()
                using.remove(id(one))
                return 0 if row is None else int(row["n"])

        assert list(pool.map(use, range(500))) == list(range(500))
        assert database.opened <= 20
