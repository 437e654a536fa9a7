"""What each process may do in PostgreSQL: a role tries what is not its own, on a real server."""

from __future__ import annotations

import contextlib
import uuid
import zlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from database_roles import USERS, documented, refuses, set_up
from factories import event

from sealward.control.postgres import PostgresControl
from sealward.control.turns import LastTurns
from sealward.events.sign import SignCreated, SignValidated
from sealward.events.store import roles
from sealward.events.store.postgres import NotAllowed, postgres
from sealward.events.store.postgres_leader import LOCKS, PostgresLeader
from sealward.events.store.store import Snapshot
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.protocol.turn import Turn
from stack.postgres import Postgres


@pytest.fixture(scope="module")
def urls(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the URL of the database for each role."""
    with documented(postgres_server, tmp_path_factory.mktemp("passwords")) as found:
        yield found


@pytest.fixture(scope="module")
def refused(urls: dict[str, str]) -> Iterator[Callable[[str, str], bool]]:
    """Return what runs a statement as a role, and says whether PostgreSQL refused it."""
    with contextlib.ExitStack() as opened:
        connections = {
            role: opened.enter_context(psycopg.connect(url, autocommit=True)) for role, url in urls.items()
        }
        yield lambda role, statement: refuses(connections[role], statement)


LOG = [
    "INSERT INTO events (stream, version, topic, state) VALUES (gen_random_uuid(), 1, 'sign.created', '{}')",
    "UPDATE events SET state = '{}'",
    "DELETE FROM events",
    "TRUNCATE events",
    "DO $$ BEGIN LOCK TABLE events IN EXCLUSIVE MODE; END $$",
    "SELECT nextval('events_position_seq')",
    "SELECT setval('events_position_seq', 1)",
    "COPY events (stream, version, topic, state) FROM PROGRAM 'echo'",
    "ALTER TABLE events DISABLE TRIGGER events_stay",
    "DROP TABLE events",
    "CREATE RULE r AS ON SELECT TO events DO INSTEAD NOTHING",
    "CREATE TRIGGER t BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "SELECT nextval('id_of_sign')",
    "SELECT setval('id_of_node', 7)",
    "ALTER SEQUENCE id_of_sign RESTART",
    "SELECT * FROM events FOR UPDATE",
    "UPDATE kinds SET opens = TRUE",
    "INSERT INTO kinds VALUES ('sign.sealed', 'node', TRUE)",
    "DELETE FROM barred",
    "UPDATE barred SET until = now()",
    "UPDATE log_holder SET pid = 0",
    "UPDATE turns SET seq = 0",
    "DELETE FROM turns",
    "INSERT INTO turns VALUES ('k', 9, 9)",
    "UPDATE checkpoints SET root = ''",
    "DELETE FROM checkpoints",
    "SELECT refuse_what_is_not_allowed('{}')",
    "INSERT INTO may_append VALUES ('sealward_api', 'sign.sealed'), ('sealward_worker', 'sign.created')",
    "DELETE FROM may_append",
    "INSERT INTO migrations (number) VALUES (99)",
    "DELETE FROM migrations",
]
"""What neither process may do."""
TOKENS = [
    "INSERT INTO tokens VALUES ('mallory', 'd2', 'admin', '2026-01-01', NULL)",
    "UPDATE tokens SET role = 'admin'",
    "UPDATE tokens SET expires_at = NULL",
    "DELETE FROM tokens",
    "TRUNCATE tokens",
]
BEYOND = [
    "SET ROLE sealward_owner",
    "SET SESSION AUTHORIZATION sealward_owner",
    "GRANT sealward_owner TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE ROLE mallory LOGIN",
    "CREATE TABLE public.planted (x INT)",
    "CREATE TABLE main.planted (x INT)",
    "CREATE TEMPORARY TABLE events (x INT)",
    "CREATE SCHEMA planted",
    "CREATE FUNCTION public.planted() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION take_id(wanted TEXT) RETURNS BIGINT LANGUAGE sql AS 'SELECT 1::bigint'",
    "CREATE EXTENSION pg_trgm",
    "ALTER DATABASE sealward SET search_path = planted",
    "ALTER SCHEMA main RENAME TO other",
    "DROP TABLE main.signs CASCADE",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid IS NOT NULL",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/planted'",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "ALTER ROLE CURRENT_USER RESET temp_file_limit",
    "SET temp_file_limit = '1TB'",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_logical_emit_message(TRUE, 'x', 'x')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = CURRENT_USER",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = CURRENT_USER",
]
ADVISORY = [
    f"pg_{tried}advisory_{scope}lock{shared}({key})"
    for tried in ("", "try_")
    for scope in ("", "xact_")
    for shared in ("", "_shared")
    for key in ("1", "1, 1")
]
"""Every way to take an advisory lock: with them somebody else leads, or all locks of the server are taken."""
ROWS = [
    "INSERT INTO snapshots VALUES (gen_random_uuid(), 1, 'Node', '{}')",
    "UPDATE snapshots SET state = '{}'",
    "DELETE FROM snapshots",
    "UPDATE leases SET seen_at = '2099-01-01'",
    "INSERT INTO leases VALUES ('kvm9', '2099-01-01')",
    "DELETE FROM leases",
    "UPDATE places SET position = 0",
    "INSERT INTO places VALUES ('relay', 1000000)",
    "UPDATE progress SET readings = '[]'",
    "UPDATE main.signs SET fresh_until = '2099-01-01'",
    "DELETE FROM main.signs",
    "UPDATE main.nodes SET active = TRUE",
    "INSERT INTO main.history SELECT * FROM main.history",
    "UPDATE main.tasks SET state = 'SUCCESS'",
    "UPDATE main.position SET value = 0",
    "TRUNCATE main.servers",
    "SELECT nextval('main.task_id_sequence')",
    "SELECT keep_turns('{}')",
    "SELECT end_hindrances()",
    "SELECT thin_checkpoints('9')",
    "INSERT INTO checkpoints VALUES (9, 8, '', '', '', '')",
    "DO $$ BEGIN LOCK TABLE main.signs IN SHARE MODE; END $$",
    "SELECT * FROM main.signs FOR SHARE",
    "SELECT * FROM leases FOR UPDATE",
    *(f"SELECT {one}" for one in ADVISORY),
]
"""What workers keep, and an API only reads."""


@pytest.mark.parametrize("statement", [*LOG, *TOKENS, *BEYOND, *ROWS])
def test_an_api_may_not(refused: Callable[[str, str], bool], statement: str) -> None:
    """It reads, and appends by the function alone."""
    assert refused("api", statement)


@pytest.mark.parametrize("statement", [*LOG, *TOKENS, *BEYOND, "SELECT digest FROM tokens"])
def test_a_worker_may_not(refused: Callable[[str, str], bool], statement: str) -> None:
    """It keeps rows, and appends by the function alone; of tokens it knows nothing."""
    assert refused("worker", statement)


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET topic = ''", "DELETE FROM events", "TRUNCATE events"]
)
def test_not_even_the_owner_changes_an_event_by_mistake(
    urls: dict[str, str], refused: Callable[[str, str], bool], statement: str
) -> None:
    """Nor does an administrator of the server."""
    administrator = urls["owner"].replace("sealward_owner@", "postgres@")

    assert refused("owner", statement)
    with psycopg.connect(administrator, autocommit=True) as connection:
        assert refuses(connection, statement)


@pytest.mark.parametrize("user", USERS.values())
def test_no_role_is_more_than_a_user(urls: dict[str, str], user: str) -> None:
    """No superuser, maker of roles or databases, or replica. The owner alone is a member, to end sessions."""
    with psycopg.connect(urls["owner"]) as connection:
        *rights, members = (
            connection.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, "
                "ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid "
                "ORDER BY 1) "
                "FROM pg_roles WHERE rolname = %s",
                (user,),
            ).fetchone()
            or ()
        )

    assert rights == [False] * 5
    assert members == ([roles.API, roles.WORKER] if user == USERS["owner"] else [])


TABLES = (
    """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'main')"""
)


def may(url: str, table: str) -> set[str]:
    """Return what the role may do with a table."""
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT kind FROM unnest(%s::text[]) AS kind WHERE has_table_privilege(%s, kind)",
            (list(kinds), table),
        ).fetchall()
    return {str(kind) for (kind,) in found}


def test_of_every_table_that_there_is_rights_are_these(urls: dict[str, str]) -> None:
    """Of one that a later migration brings as well: it is the worker's to write, and the API's to read."""
    with psycopg.connect(urls["owner"], autocommit=True) as owner:
        owner.execute("CREATE TABLE later (x INT)")
        roles.grant(urls["owner"])
        tables = {str(one) for (one,) in owner.execute(TABLES).fetchall()}
        api = {one: may(urls["api"], one) for one in tables}
        worker = {one: may(urls["worker"], one) for one in tables}
        owner.execute("DROP TABLE later")
    read, kept = {"SELECT"}, {"SELECT", "INSERT", "UPDATE", "DELETE"}
    own = {
        f"public.{one}"
        for one in ("events", "migrations", "may_append", "kinds", "log_holder", "barred", "turns")
    }
    closed, added = {"public.tokens"}, {"public.checkpoints"}

    assert "public.later" in tables
    assert len(tables) > 12
    webhooks = {"public.webhooks": kept, "public.deliveries": read | {"DELETE"}}
    assert api == dict.fromkeys(tables, read) | webhooks
    assert worker == {
        one: set() if one in closed else read if one in own else read | {"INSERT"} if one in added else kept
        for one in tables
    }


def test_who_has_no_role_of_sealwards_appends_nothing(urls: dict[str, str]) -> None:
    """Another user of the server cannot even come in; one that was let in may call nothing."""
    administrator = urls["owner"].replace("sealward_owner@", "postgres@")
    stranger = urls["owner"].replace("sealward_owner@", "stranger@")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        try:
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(stranger).close()
            connection.execute("GRANT CONNECT ON DATABASE sealward TO stranger")
            for statement in ("SELECT take_id('sign')", "SELECT * FROM events", "SELECT * FROM tokens"):
                with psycopg.connect(stranger, autocommit=True) as other:
                    assert refuses(other, statement)
        finally:
            connection.execute("REVOKE CONNECT ON DATABASE sealward FROM stranger")
            connection.execute("DROP ROLE stranger")


def test_a_user_who_is_a_member_of_a_role_may_what_the_role_may(urls: dict[str, str]) -> None:
    """So each host can have a user of its own."""
    administrator = urls["owner"].replace("sealward_owner@", "postgres@")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("CREATE ROLE api_host1 LOGIN IN ROLE sealward_api")
        with contextlib.closing(postgres(urls["owner"].replace("sealward_owner@", "api_host1@"))) as log:
            log.append(uuid.uuid4(), 0, [event(SignCreated)])
            with pytest.raises(NotAllowed):
                log.append(uuid.uuid4(), 0, [event(SignValidated)])
        connection.execute("DROP ROLE api_host1")


def test_an_api_keeps_no_snapshot_and_a_worker_does(urls: dict[str, str]) -> None:
    """What is believed without a look at the log is written by workers alone."""
    stream = uuid.uuid4()
    for role, kept in (("api", False), ("worker", True)):
        with contextlib.closing(postgres(urls[role])) as log:
            log.keep_snapshots([Snapshot(stream, 3, "Node", b"{}")])
            assert (log.snapshot(stream) is not None) is kept


def test_ids_are_given_out_and_never_twice(urls: dict[str, str]) -> None:
    """To both, by the function."""
    with (
        contextlib.closing(postgres(urls["api"])) as one,
        contextlib.closing(postgres(urls["worker"])) as other,
    ):
        first = one.next_id("sign")
        assert [other.next_id("sign"), one.next_id("sign")] == [first + 1, first + 2]


def test_an_open_transaction_that_has_taken_an_id_keeps_nobody_from_the_next(urls: dict[str, str]) -> None:
    """A counter in a row would be locked until the transaction ends."""
    with psycopg.connect(urls["api"]) as connection:
        connection.execute("SELECT take_id('sign'), take_id('node')")
        with psycopg.connect(urls["worker"], options="-c statement_timeout=2000") as other:
            other.execute("SELECT take_id('sign'), take_id('node')")


def test_tokens_are_read_by_an_api_and_issued_by_the_owner(urls: dict[str, str]) -> None:
    """A refusal says what to do."""
    with contextlib.closing(PostgresControl(urls["api"])) as control:
        assert control.find("token-by-digest", ("d1",)) is not None
        with pytest.raises(NotAllowed, match="use the URL that is made for it"):
            control.run("issue", ("mallory", "d3", "admin", "2026-01-01", None))


def test_rows_of_another_shape_are_made_anew_by_the_owner_alone(urls: dict[str, str]) -> None:
    """An API or a worker that finds them says so, and changes nothing."""
    administrator = urls["owner"].replace("sealward_owner@", "postgres@")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("UPDATE main.position SET shape = 'older'")
        for role in ("api", "worker"):
            with contextlib.closing(PostgresBackend(urls[role])) as backend, pytest.raises(NotAllowed):
                Projections(backend)
        set_up(urls["owner"])
        found = connection.execute("SELECT shape <> 'older' FROM main.position").fetchone()
    assert found == (True,)
    Projections(PostgresBackend(urls["api"])).close()


def test_an_api_keeps_no_worker_from_leading(
    urls: dict[str, str], refused: Callable[[str, str], bool]
) -> None:
    """The lock of a lead is not for its role to take; a worker takes it."""
    key = zlib.crc32(b"relay") - 2**31
    assert refused("api", f"SELECT pg_advisory_lock({LOCKS}, {key})")
    with contextlib.closing(PostgresLeader(urls["worker"], "relay")) as leader:
        assert leader.holds()


def test_the_turns_of_nodes_never_go_back(urls: dict[str, str]) -> None:
    """Not by the function either, which is all that a worker has."""
    with contextlib.closing(PostgresControl(urls["worker"])) as control:
        turns = LastTurns(control)
        turns.keep({"k1": Turn(3, 7)})
        for earlier in (Turn(3, 6), Turn(2, 9), Turn(0, 0)):
            turns.keep({"k1": earlier})
        assert turns.of(["k1"]) == {"k1": Turn(3, 7)}
        turns.keep({"k1": Turn(4, 0)})
        assert turns.of(["k1"]) == {"k1": Turn(4, 0)}


def test_connections_are_left_for_others(urls: dict[str, str]) -> None:
    """Each session of a role has the limit, and the role cannot raise it."""
    with psycopg.connect(urls["owner"]) as owner:
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        ((there,),) = owner.execute(sessions, (roles.API,)).fetchall()
    with contextlib.ExitStack() as opened:
        for _ in range(40 - there):
            opened.enter_context(psycopg.connect(urls["api"]))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(urls["api"])
        for role in ("worker", "owner"):
            psycopg.connect(urls[role]).close()


def test_whoever_migrates_is_told_where_the_bounds_are_missing(
    urls: dict[str, str], postgres_server: Postgres
) -> None:
    """A database that was restored, or is older than the bounds, has roles and no bounds."""
    name = f"t{uuid.uuid4().hex}"
    unbounded = postgres_server.create(name)

    assert roles.is_bounded(urls["owner"])
    assert not roles.is_bounded(unbounded)
    postgres_server.drop(name)
