"""A role of the database that holds up others loses what it keeps locked or open. On a real server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from factories import event

from sealward.control.hindrances import Hindrances
from sealward.control.postgres import PostgresControl
from sealward.events.base import node_stream
from sealward.events.node import NodeRegistered, NodeReturned
from sealward.events.store import roles
from sealward.events.store.postgres import migrate, postgres
from sealward.events.store.store import EventStore, StoreUnavailable
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from stack.postgres import SEALWARD, Postgres
from stack.secrets import make

pytestmark = pytest.mark.heavy  # most of these tests wait for seconds until a session is ended
APPEND = "SELECT append_events('{}', '{}', '{}', '{}')"
"""No event; it takes the lock of the log all the same."""


@pytest.fixture(scope="module")
def server(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Return a server with a database that is set up as documented."""
    folder = tmp_path_factory.mktemp("passwords")
    make(folder, "postgresql://{user}:{password}@db", "amqp://{user}:{password}@mq", "node")
    postgres_server.make_roles(folder)
    owner = postgres_server.url(SEALWARD, "sealward_owner")
    migrate(owner)
    Projections(PostgresBackend(owner)).close()
    roles.grant(owner)
    yield postgres_server
    postgres_server.drop(SEALWARD)


@pytest.fixture
def login(server: Postgres) -> Iterator[Callable[[str], str]]:
    """Return what gives the URL of a role, and has the database forget afterwards whom it barred."""
    yield lambda user: server.url(SEALWARD, user)
    with psycopg.connect(server.url(SEALWARD, "sealward_owner"), autocommit=True) as owner:
        owner.execute("DELETE FROM barred")


@pytest.fixture
def worker(login: Callable[[str], str]) -> Iterator[EventStore]:
    """Return the log of a worker, which looks for what holds it up."""
    with contextlib.closing(PostgresControl(login(roles.WORKER))) as control:
        looking = Hindrances(control, 0.2)
        looking.start()
        with contextlib.closing(postgres(login(roles.WORKER))) as log:
            yield log
        looking.stop()


def hold(url: str, statement: str = APPEND) -> psycopg.Connection[object]:
    """Lock the log and leave the transaction open."""
    connection = psycopg.connect(url)
    connection.execute(statement)
    return connection


def register(log: EventStore) -> float:
    """Append an event; return how many seconds that took."""
    began = time.monotonic()
    stream = node_stream(f"kvm{began}")
    log.append(stream, 0, [event(NodeRegistered)])
    return time.monotonic() - began


def test_a_role_that_keeps_the_log_locked_is_ended_and_barred(
    login: Callable[[str], str], worker: EventStore
) -> None:
    """Waiting sessions go on within seconds, and the role appends nothing for minutes."""
    held = hold(login(roles.API))

    assert 2 < register(worker) < 9
    with pytest.raises(psycopg.OperationalError):
        held.execute("SELECT 1")
    with contextlib.closing(postgres(login(roles.API))) as api:
        with pytest.raises(StoreUnavailable, match="barred"):
            api.append(node_stream("kvm0"), 0, [event(NodeRegistered)])
        assert api.head() > 0  # it still reads
    assert register(worker) < 2


def test_many_sessions_of_the_role_take_no_turns(login: Callable[[str], str], worker: EventStore) -> None:
    """Those that wait for the lock behind the first are ended with it."""
    first = hold(login(roles.API))
    waiting = [psycopg.connect(login(roles.API)) for _ in range(15)]
    for one in waiting:
        one.pgconn.send_query(APPEND.encode())  # without waiting for the answer

    assert register(worker) < 9
    first.close()
    for one in waiting:
        one.close()


def test_a_session_that_works_all_the_time_is_ended_too(
    login: Callable[[str], str], worker: EventStore
) -> None:
    """It need not be idle."""
    with contextlib.closing(psycopg.connect(login(roles.API))) as busy:
        busy.pgconn.send_query(b"SELECT append_events('{}', '{}', '{}', '{}'), pg_sleep(60)")
        time.sleep(0.5)
        assert register(worker) < 9


def test_a_user_of_one_host_takes_nothing_from_the_others(
    server: Postgres, login: Callable[[str], str], worker: EventStore
) -> None:
    """Each host has a user of its own; the owner is a member of each, as docs/operations.md has it."""
    with psycopg.connect(server.url(SEALWARD), autocommit=True) as administrator:
        administrator.execute("CREATE ROLE api_host1 LOGIN IN ROLE sealward_api ROLE sealward_owner")
    try:
        held = hold(login("api_host1"))
        assert register(worker) < 9
        held.close()
        with contextlib.closing(postgres(login(roles.API))) as other:
            assert other.append(node_stream("kvm7"), 0, [event(NodeRegistered)]) > 0
    finally:
        with psycopg.connect(server.url(SEALWARD), autocommit=True) as administrator:
            administrator.execute("DROP ROLE api_host1")


def test_those_who_append_one_after_the_other_are_left_alone(
    login: Callable[[str], str], worker: EventStore
) -> None:
    """However much there is to append: the holder is another one every time."""
    stream = node_stream("kvm-busy")
    worker.append(stream, 0, [event(NodeRegistered)])
    until, version = time.monotonic() + 5, 1
    while time.monotonic() < until:
        worker.append(stream, version, [event(NodeReturned)] * 20)
        version += 20
    with psycopg.connect(login("sealward_owner")) as owner:
        assert owner.execute("SELECT count(*) FROM barred").fetchone() == (0,)


@pytest.mark.parametrize("user", ["sealward_owner", roles.WORKER])
def test_others_are_not_ended(login: Callable[[str], str], worker: EventStore, user: str) -> None:
    """A worker's batch may take long. Waiting sessions give up after ten seconds, and try again."""
    with hold(login(user)) as other:
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            register(worker)
        other.rollback()
    assert register(worker) < 2


def test_a_reader_keeps_no_transaction_open(login: Callable[[str], str]) -> None:
    """It would keep dead rows from being cleaned away, and notices in their queue. Its minute is short."""
    with (
        psycopg.connect(login("sealward_owner"), autocommit=True) as owner,
        contextlib.closing(psycopg.connect(login(roles.API))) as reader,
        psycopg.connect(login(roles.WORKER)) as writer,
        contextlib.closing(PostgresControl(login(roles.WORKER))) as control,
    ):
        (text,) = owner.execute("SELECT pg_get_functiondef('end_hindrances'::regproc)").fetchone() or ("",)
        owner.execute(text.replace("'1 minute'", "'1 second'").encode())
        reader.execute("SELECT count(*) FROM events")
        writer.execute("SELECT count(*) FROM events")
        time.sleep(1.2)
        Hindrances(control).check()
        owner.execute(text.encode())

        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
        writer.execute("SELECT 1")


def test_the_roles_file_may_be_run_again(server: Postgres, tmp_path: Path) -> None:
    """As an upgrade asks for: nothing is lost, and no password is read."""
    before = server.url(SEALWARD, roles.API)
    server.make_roles(tmp_path)
    with contextlib.closing(postgres(before)) as api:
        assert api.append(node_stream("kvm-again"), 0, [event(NodeRegistered)]) > 0
