"""What only PostgreSQL has: migrations, many processes, and the order of commits."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from factories import event

from sealward.events.node import NodeActivated
from sealward.events.store.postgres import MIGRATIONS, SQL, Database, NotMigrated, migrate, postgres
from sealward.events.store.store import EventStore, StoreUnavailable
from stack.certificates import Certificates, issue
from stack.postgres import Postgres

WRITERS = 8
SECONDS = 1.5
UNLOCKED = (
    SQL["migration-1"].partition("CREATE FUNCTION")[2].replace("LOCK TABLE events IN EXCLUSIVE MODE;", "", 1)
)


def missed_by_a_reader(store: EventStore) -> int:
    """Let writers append and a reader follow; return how many events the reader never saw."""
    stop, written = threading.Event(), threading.Event()
    seen: list[int] = []

    def write() -> None:
        while not stop.is_set():
            store.append(uuid.uuid4(), 0, [event(NodeActivated)])

    def read() -> None:
        while not written.is_set() or store.head() > (seen[-1] if seen else 0):
            seen.extend(one.position for one in store.follow(seen[-1] if seen else 0, 10_000))

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(write) for _ in range(WRITERS)]
        time.sleep(SECONDS)
        stop.set()
        for one in writers:
            one.result(30)
        written.set()
        reader.result(30)
    return len(store.follow(0, 1_000_000)) - len(seen)


def test_a_reader_misses_nothing_that_many_write(database: str) -> None:
    """The order of positions is the order of commits."""
    store = postgres(database)
    missed = missed_by_a_reader(store)
    store.close()

    assert missed == 0


def test_without_the_lock_a_reader_misses_events(database: str) -> None:
    """The test above is able to fail: it is the lock that keeps the order."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE OR REPLACE FUNCTION {UNLOCKED}")
    store = postgres(database)
    missed = 0
    for _ in range(10):
        missed += missed_by_a_reader(store)
        if missed:
            break
    store.close()

    assert missed > 0


def test_migrations_run_once_however_many_run_them(empty_database: str) -> None:
    """Two at once: one does them, the other finds them done."""
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate(empty_database), range(4)))

    assert sorted(done) == [[], [], [], list(range(1, MIGRATIONS + 1))]
    assert migrate(empty_database) == []


def test_a_database_without_its_schema_is_refused(empty_database: str) -> None:
    """The message says what to do."""
    with pytest.raises(NotMigrated, match="sealward migrate"):
        postgres(empty_database)


def test_a_database_of_a_newer_sealward_is_refused(database: str) -> None:
    """Neither used nor migrated back."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO migrations (number) VALUES (999)")
    with pytest.raises(NotMigrated):
        migrate(database)
    with pytest.raises(NotMigrated):
        postgres(database)


@pytest.mark.alone
def test_an_append_wakes_the_waiters_of_other_processes(database: str) -> None:
    """Two stores on one database are two processes: no polling between them."""
    one, other = postgres(database), postgres(database)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: (other.wait_beyond(0, 10), time.monotonic()))
        time.sleep(0.3)
        began = time.monotonic()
        one.append(uuid.uuid4(), 0, [event(NodeActivated)])
        woken, at = waiting.result(10)
    one.close()
    other.close()

    assert woken
    assert at - began < 0.1


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """Yield a folder for a server, with a short path for its socket."""
    folder = Path(tempfile.mkdtemp(prefix="sw-pg-"))
    yield folder
    shutil.rmtree(folder)


def test_the_store_mends_itself_when_the_server_comes_back(private_folder: Path) -> None:
    """While the server is away the store says so; afterwards it goes on, and so does the waking."""
    server = Postgres(private_folder)
    server.start()
    try:
        migrate(server.url())
        store = postgres(server.url())
        store.append(uuid.uuid4(), 0, [event(NodeActivated)])
        server.kill()
        with pytest.raises(StoreUnavailable):
            store.append(uuid.uuid4(), 0, [event(NodeActivated)])
        server.start()
        position = _soon(store)
        assert len(store.follow(0)) == 2
        assert position == store.head()
        store.close()
    finally:
        server.stop()


def test_a_restart_of_the_server_is_not_felt_by_idle_connections(private_folder: Path) -> None:
    """However many a pool holds: each is looked at before it is used."""
    server = Postgres(private_folder)
    server.start()
    held = 8
    try:
        with Database(server.url()) as database:
            with ThreadPoolExecutor(held) as pool:
                together = threading.Barrier(held)
                list(pool.map(lambda _: _answer(database, together), range(held)))
            server.kill()
            server.start()
            answers = [_answer(database) for _ in range(2 * held)]
    finally:
        server.stop()

    assert answers == [1] * 2 * held


def _answer(database: Database, together: threading.Barrier | None = None) -> int:
    """Ask over a connection; the threads of a barrier each over one of their own."""
    with database.connection() as connection:
        if together is not None:
            together.wait(10)
        row = connection.execute("SELECT 1 AS answer").fetchone()
    return 0 if row is None else int(row["answer"])


def _soon(store: EventStore) -> int:
    end = time.monotonic() + 15
    while True:
        try:
            return store.append(uuid.uuid4(), 0, [event(NodeActivated)])
        except StoreUnavailable:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_tls_reaches_whom_it_trusts_and_nobody_else(
    private_folder: Path, certificates: Certificates, tmp_path: Path
) -> None:
    """Said in the URL, in libpq's words; another authority is refused."""
    server = Postgres(private_folder, certificates)
    server.start()
    try:
        url = server.tls_url(certificates.ca)
        migrate(url)
        store = postgres(url)
        store.append(uuid.uuid4(), 0, [event(NodeActivated)])
        with psycopg.connect(url) as own:
            encrypted = own.execute(
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE application_name LIKE 'sealward%'"
            ).fetchone()
        store.close()
        with pytest.raises(StoreUnavailable, match="SSL error"):
            migrate(server.tls_url(issue(tmp_path).ca))
    finally:
        server.stop()

    assert encrypted == (True,)
