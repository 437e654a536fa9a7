"""The Merkle tree over the log: a leaf for each event, and a log that was changed is not taken."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from factories import ONE_OF_EACH
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealward.events.store import store as stores
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.events.tlog.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from sealward.events.tlog.record import record_of
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.replay import replay
from sealward.projections.store.sqlite import SqliteBackend

NUMBERS = st.integers(1, 700)


def leaves(store: EventStore) -> list[bytes]:
    """Return the hashes of the leaves, from the log alone."""
    return [
        leaf_hash(record_of(one.position, one.stream, one.version, one.topic, one.state).entry())
        for one in store.copy(0, 100_000)
    ]


def fill(store: EventStore, events: int) -> None:
    """Append events, each to a stream of its own."""
    store.append_all([(uuid4(), 1, ONE_OF_EACH[one % len(ONE_OF_EACH)]) for one in range(events)])


def as_it_should_be(store: EventStore, projections: Projections) -> None:
    """Compare the tree with the log: size, root, and what each position stands for."""
    expected = leaves(store)
    with projections.reading() as tables:
        position, tree = projections.position(tables), projections.tree
        assert tree.size(position, tables) == len(expected)
        assert tree.root(len(expected), tables) == root_of(expected)
        for leaf, one in enumerate(store.copy(0, 100_000)):
            assert tree.leaf_at(one.position, tables) == leaf
            assert tree.position_of(leaf, tables) == one.position
            assert tree.size(one.position, tables) == leaf + 1


@given(st.lists(NUMBERS, min_size=1, max_size=5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_tree_has_a_leaf_for_each_event_however_the_batches_were(
    tmp_path: Path, batches: list[int]
) -> None:
    """The events are folded as they come, and from the beginning."""
    folder = tmp_path / str(uuid4())
    with contextlib.closing(stores.in_memory()) as store:
        for number, rows in enumerate((batches, [sum(batches)])):
            with contextlib.closing(Projections(SqliteBackend(folder / f"{number}.sqlite"))) as projections:
                for events in rows if number == 0 else ():
                    fill(store, events)
                    while projections.advance(store):
                        pass
                for _ in projections.catch_up(store):
                    pass
                as_it_should_be(store, projections)


@pytest.fixture
def in_postgresql(database: str) -> Iterator[tuple[str, EventStore, Projections]]:
    """Return a database, its store and its rows."""
    with (
        contextlib.closing(postgres(database)) as store,
        contextlib.closing(Projections(PostgresBackend(database))) as projections,
    ):
        yield database, store, projections


def test_positions_have_gaps_and_leaves_have_none(
    in_postgresql: tuple[str, EventStore, Projections],
) -> None:
    """PostgreSQL does not give a position again that a refused append has taken."""
    _, store, projections = in_postgresql
    stream = uuid4()
    store.append(stream, 0, [ONE_OF_EACH[0]])
    for _ in range(3):
        with pytest.raises(stores.VersionConflict):
            store.append(stream, 0, [ONE_OF_EACH[0]])
        fill(store, 2)
    while projections.advance(store):
        pass
    assert store.head() > 7 == len(leaves(store))
    as_it_should_be(store, projections)
    with projections.reading() as tables:
        missing = set(range(1, store.head())) - {one.position for one in store.copy(0)}
        assert missing
        assert [projections.tree.leaf_at(one, tables) for one in missing] == [None] * len(missing)


def test_an_event_that_nobody_can_read_has_its_leaf(tmp_path: Path) -> None:
    """Its bytes are in the log, and that they are there is what the tree says."""
    path = tmp_path / "log.sqlite"
    with (
        contextlib.closing(stores.sqlite(path)) as store,
        contextlib.closing(Projections(SqliteBackend(tmp_path / "rows.sqlite"))) as projections,
    ):
        fill(store, 3)
        with sqlite3.connect(path) as database:
            database.execute("UPDATE stored_events SET state = 'no event' WHERE rowid = 2")
            database.execute("UPDATE stored_events SET topic = 'two\nlines \u00e9' WHERE rowid = 3")
        for _ in projections.catch_up(store):
            pass
        as_it_should_be(store, projections)
        with projections.reading() as tables:
            assert projections.set_aside.count(tables) == 2


def test_a_proof_is_read_from_the_rows(tmp_path: Path) -> None:
    """For each of some hundred events."""
    with (
        contextlib.closing(stores.in_memory()) as store,
        contextlib.closing(Projections(SqliteBackend(tmp_path / "rows.sqlite"))) as projections,
    ):
        fill(store, 600)
        for _ in projections.catch_up(store):
            pass
        expected = leaves(store)
        with projections.reading() as tables:
            subtrees, whole = projections.tree.subtrees(tables), projections.tree.root(600, tables)
            for leaf in range(0, 600, 7):
                proof = inclusion_proof(leaf, 600, subtrees)
                verify_inclusion(expected[leaf], leaf, 600, proof, whole)


CHANGES = {
    "a byte of an event": ("UPDATE events SET state = state || ' ' WHERE position = 4", 4),
    "a topic": ("UPDATE events SET topic = 'sign.revoked' WHERE position = 5", 5),
    "a stream": (
        "UPDATE events SET stream = '00000000-0000-4000-8000-000000000000' WHERE position = 6",
        6,
    ),
    "a version": ("UPDATE events SET version = 7 WHERE position = 7", 7),
    "the last ten are gone": ("DELETE FROM events WHERE position > 290", 291),
    "the first is gone": ("DELETE FROM events WHERE position = 1", 1),
    "one in the middle is gone": ("DELETE FROM events WHERE position = 270", 270),
    "two are swapped": (
        (
            "UPDATE events SET stream = other.stream, topic = other.topic, state = other.state "
            "FROM events AS other WHERE (events.position, other.position) IN ((8, 9), (9, 8))"
        ),
        8,
    ),
    "one more in the past": (
        (
            "INSERT INTO events (position, stream, version, topic, state) OVERRIDING SYSTEM VALUE "
            "SELECT 280, '00000000-0000-4000-8000-000000000001', 1, topic, state FROM events LIMIT 1"
        ),
        280,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_log_that_was_changed_is_not_taken(
    in_postgresql: tuple[str, EventStore, Projections], change: str
) -> None:
    """The first changed event is named, also the second time; the rows stay; `adopts` takes the log."""
    url, store, projections = in_postgresql
    fill(store, 279)
    with psycopg.connect(url) as database:  # a gap, for the event in the past
        database.execute("SELECT nextval(pg_get_serial_sequence('events', 'position'))")
    fill(store, 20)
    while projections.advance(store):
        pass
    assert replay(store, projections, int).changed is None
    statement, position = CHANGES[change]
    with psycopg.connect(url) as database:
        database.execute("ALTER TABLE events DISABLE TRIGGER USER")
        database.execute("ALTER TABLE events DROP CONSTRAINT events_stream_version_key")
        database.execute(statement.encode())
        database.execute("ALTER TABLE events ENABLE TRIGGER USER")

    for _ in range(2):
        found = replay(store, projections, int)
        assert (found.changed, found.differences) == (position, ())
    adopted = replay(store, projections, int, adopts=True)
    assert adopted.changed == position
    assert adopted.differences
    assert replay(store, projections, int).changed is None


def test_a_tree_that_was_changed_is_found(tmp_path: Path) -> None:
    """The tree was changed and the log was not: the first event that differs is named."""
    with (
        contextlib.closing(stores.in_memory()) as store,
        contextlib.closing(Projections(SqliteBackend(tmp_path / "rows.sqlite"))) as projections,
    ):
        fill(store, 300)
        for _ in projections.catch_up(store):
            pass
        with sqlite3.connect(tmp_path / "rows.sqlite") as database:
            (tile,) = database.execute(
                "SELECT data FROM tree_tiles WHERE level = 0 AND number = 1"
            ).fetchone()
            changed = tile[:64] + bytes(32) + tile[96:]
            database.execute("UPDATE tree_tiles SET data = ? WHERE level = 0 AND number = 1", (changed,))
        assert replay(store, projections, int).changed == 259
