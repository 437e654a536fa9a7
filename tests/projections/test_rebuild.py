"""For every history: rows kept up batch by batch are the rows that a rebuild gives."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from amounts import examples
from factories import NOON, ONE_OF_EACH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealward.events.base import Event, Origin, node_stream, sign_stream
from sealward.events.is_valid import IsValid
from sealward.events.node import NodeEvent, NodeRegistered, NodeSwept
from sealward.events.sign import SignEvent, SignOrdered
from sealward.events.store import store as stores
from sealward.events.store.store import EventStore
from sealward.projections.store import database as projections_database
from sealward.projections.store import postgres as in_postgresql
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.replay import replay
from sealward.projections.store.runner import Runner
from sealward.projections.store.sqlite import SqliteBackend

SERVERS = ("bdfe7b89-4d44-4edb-af5a-de8733aa3eba", "ee57ad11-5c74-4e49-bf2d-46858570b3a1")


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Return any events about two servers on two nodes, possible or not."""
    events: list[Event] = [
        dataclasses.replace(one, node_id=number, hostname=f"kvm{number}")
        for one in ONE_OF_EACH
        if isinstance(one, NodeRegistered)
        for number in (1, 2)
    ]
    rest = [one for one in ONE_OF_EACH if not isinstance(one, NodeRegistered)]
    for number, one in enumerate(draw(st.lists(st.sampled_from(rest), max_size=40))):
        events.append(_varied(one, number, draw))
    return events


def _varied(event: Event, number: int, draw: st.DrawFn) -> Event:
    which = draw(st.integers(0, 1))
    changes: dict[str, object] = {
        "timestamp": NOON + timedelta(seconds=number),
        "task_id": draw(st.sampled_from((None, "t-1", "t-2", f"t-{number}"))),
        "node_id": draw(st.integers(1, 2)),
        "origin": draw(st.sampled_from((None, Origin(user_id="u-1", project_id=None)))),
    }
    if hasattr(event, "server_id"):
        changes["server_id"] = SERVERS[which]
    if isinstance(event, SignEvent):
        changes["sign_id"] = which + 1
    if isinstance(event, SignOrdered):
        changes["generation"] = draw(st.integers(1, 3))
    if isinstance(event, NodeSwept):
        changes["vouched"] = draw(st.sampled_from(("", "1", "2", "1-2")))
    return dataclasses.replace(event, **changes)  # type: ignore[arg-type]  # checked at run time


def _fill(store: EventStore, events: list[Event]) -> None:
    versions: dict[object, int] = {}
    for event in events:
        stream = (
            node_stream(f"kvm{event.node_id}")
            if isinstance(event, NodeEvent)
            else sign_stream(str(getattr(event, "server_id", "")))
        )
        store.append(stream, versions.get(stream, 0), [event])
        versions[stream] = versions.get(stream, 0) + 1


def tampered(path: Path, statement: str) -> None:
    """Change the file behind Sealward's back."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


@given(histories(), st.integers(1, 7))
def test_rows_kept_up_are_rows_rebuilt(history: list[Event], every: int) -> None:
    """A replay finds no difference, wherever the live rows were cut into batches."""
    store = stores.in_memory()
    with TemporaryDirectory() as folder:
        projections = Projections(SqliteBackend(Path(folder) / "rows.sqlite"))
        for start in range(0, len(history), every):
            part = stores.in_memory()
            _fill(part, history[: start + every])
            while projections.advance(part):
                pass
        _fill(store, history)
        replayed = replay(store, projections, lambda _: None)
        projections.close()

    assert replayed.differences == ()
    assert replayed.events == replayed.position == len(history)


def test_a_replay_puts_right_what_was_tampered_with(tmp_path: Path) -> None:
    """Rows that the log does not give are named and replaced."""
    store = stores.in_memory()
    _fill(store, list(ONE_OF_EACH[:5]))
    projections = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    while projections.advance(store):
        pass
    tampered(tmp_path / "rows.sqlite", "UPDATE signs SET is_valid = 'true'")
    first = replay(store, projections, lambda _: None)
    second = replay(store, projections, lambda _: None)
    projections.close()

    assert [(one.table, one.stood) for one in first.differences] == [("signs", True), ("signs", False)]
    assert second.differences == ()


def test_a_rebuild_that_is_interrupted_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and position are always of one moment, and nothing keeps reading."""
    monkeypatch.setattr(projections_database, "BATCH", 2)
    store, often = stores.in_memory(), gc.get_threshold()
    _fill(store, list(ONE_OF_EACH[:5]))
    projections = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    first = projections.catch_up(store)
    begun = next(first), projections.position_now()
    first.close()
    rest = list(projections.catch_up(store))
    replayed = replay(store, projections, lambda _: None)
    projections.close()

    assert (begun, rest) == ((2, 2), [2, 1])
    assert replayed.differences == ()
    assert gc.get_threshold() == often
    assert not [one for one in threading.enumerate() if one.name.startswith("reader")]


def test_two_who_rebuild_the_same_rows_fold_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process with a batch leaves the rows alone."""
    monkeypatch.setattr(projections_database, "BATCH", 2)
    store = stores.in_memory()
    _fill(store, list(ONE_OF_EACH[:6]))
    projections = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    slow = projections.catch_up(store)
    next(slow)
    advanced = projections.advance(store)
    rest = list(slow)
    while projections.advance(store):
        pass
    replayed = replay(store, projections, lambda _: None)
    projections.close()

    assert (advanced, rest) == (2, [])
    assert replayed.differences == ()


def test_rows_of_another_shape_are_built_anew(tmp_path: Path) -> None:
    """After an upgrade that changed the rows, the log fills them again."""
    store = stores.in_memory()
    _fill(store, list(ONE_OF_EACH[:2]))
    old = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    old.advance(store)
    old.close()
    tampered(tmp_path / "rows.sqlite", "UPDATE position SET shape = '0'")
    new = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    before = new.position_now()
    new.advance(store)
    with new.reading() as tables:
        row = new.signs.one(tables, SERVERS[0])
    new.close()

    assert before == 0
    assert row is not None


def test_an_append_is_read_back_as_soon_as_its_position_is_waited_for(tmp_path: Path) -> None:
    """A GET that follows a POST's answer sees it."""
    store = stores.sqlite(tmp_path / "log.sqlite")
    projections = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    runner = Runner(store, projections)
    runner.start()
    position = store.append(sign_stream(SERVERS[0]), 0, [ONE_OF_EACH[0]])
    seen = projections.wait_for(position, 5)
    with projections.reading() as tables:
        row = projections.signs.one(tables, SERVERS[0])
    runner.stop()
    store.close()
    projections.close()

    assert seen
    assert row is not None


@given(histories(), st.integers(1, 7))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(12), deadline=None
)
def test_on_postgresql_rows_kept_up_are_rows_rebuilt(database: str, history: list[Event], every: int) -> None:
    """The same holds in the other database, whose rows are written in bulk, and a rebuild's by COPY."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS main CASCADE")
    store = stores.in_memory()
    projections = Projections(PostgresBackend(database))
    for start in range(0, len(history), every):
        part = stores.in_memory()
        _fill(part, history[: start + every])
        while projections.advance(part):
            pass
    _fill(store, history)
    with pytest.MonkeyPatch.context() as copying:
        copying.setattr(in_postgresql, "A_LOT", 1)
        replayed = replay(store, projections, lambda _: None)
    projections.close()

    assert replayed.differences == ()
    assert replayed.events == replayed.position == len(history)


@given(histories())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(12), deadline=None
)
def test_both_databases_give_the_same_answers(database: str, history: list[Event]) -> None:
    """After any history, a client cannot tell which database is behind the API."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS main CASCADE")
    store = stores.in_memory()
    _fill(store, history)
    with TemporaryDirectory() as folder:
        answers = [
            _answers(Projections(backend), store)
            for backend in (SqliteBackend(Path(folder) / "rows.sqlite"), PostgresBackend(database))
        ]

    assert answers[0] == answers[1]


def _answers(projections: Projections, store: EventStore) -> list[object]:
    while projections.advance(store):
        pass
    with projections.snapshot() as tables:
        found: list[object] = [
            projections.signs.page(tables, now=NOON),
            projections.signs.page(tables, now=NOON, is_valid=IsValid.UNKNOWN, node_id=1, limit=1),
            [projections.envelopes.one(tables, one) for one in SERVERS],
            projections.envelopes.of_node(tables, 1),
            projections.nodes.all(tables),
            projections.servers.page(tables),
            projections.servers.page(tables, signed=False, node_id=2),
            [projections.servers.find(tables, one) for one in SERVERS],
            [projections.tasks.one(tables, f"t-{number}") for number in range(40)],
            projections.tasks.waiting(tables, 1),
            [projections.history.of_server(tables, one, after=2, limit=7) for one in SERVERS],
        ]
    projections.close()
    return found


def test_a_replay_on_postgresql_puts_right_what_was_tampered_with(database: str) -> None:
    """Rows that the log does not give are named and replaced; nothing of the shadow is left."""
    store = stores.in_memory()
    _fill(store, list(ONE_OF_EACH[:5]))
    projections = Projections(PostgresBackend(database))
    while projections.advance(store):
        pass
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE main.signs SET is_valid = 'true'")
        first = replay(store, projections, lambda _: None)
        second = replay(store, projections, lambda _: None)
        shadow = connection.execute("SELECT to_regnamespace('shadow')").fetchone()
    projections.close()

    assert [(one.table, one.stood) for one in first.differences] == [("signs", True), ("signs", False)]
    assert second.differences == ()
    assert shadow == (None,)


def test_a_history_that_somebody_has_written_ahead_is_written_over(database: str) -> None:
    """Rows put in beyond what is folded hold up nobody, and do not stay."""
    store = stores.in_memory()
    _fill(store, list(ONE_OF_EACH[:3]))
    projections = Projections(PostgresBackend(database))
    forged = (
        "INSERT INTO main.history VALUES (2, 's', 1, 'sign.revoked', '', 'nobody', NULL, NULL, 'null', '{}')"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(forged)
        with pytest.MonkeyPatch.context() as copying:
            copying.setattr(in_postgresql, "A_LOT", 1)
            while projections.advance(store):
                pass
        actors = connection.execute("SELECT DISTINCT actor FROM main.history").fetchall()
    replayed = replay(store, projections, lambda _: None)
    projections.close()

    assert ("nobody",) not in actors
    assert replayed.differences == ()
