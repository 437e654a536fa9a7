"""The notary signs what continues the last checkpoint, and nothing else."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import NOON, ONE_OF_EACH

from sealward.control.checkpoints import Checkpoints
from sealward.control.database import ControlDatabase, SqliteControl
from sealward.control.notary import Notary, tree_status
from sealward.control.postgres import PostgresControl
from sealward.events.store import store as stores
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.events.tlog.checkpoint import read_checkpoint
from sealward.events.tlog.note import read_note, read_vkey
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.sqlite import SqliteBackend

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "sealward.example/log"


class Place:
    """A log, its rows, its checkpoints, and a clock that the test moves."""

    def __init__(
        self,
        store: EventStore,
        projections: Projections,
        control: ControlDatabase,
        ask: Callable[[str], list[tuple[int]]],
    ) -> None:
        self.store, self.projections, self._ask = store, projections, ask
        self.checkpoints = Checkpoints(control)
        self.now = NOON

    def notary(self) -> Notary:
        """Return another signer over the same log."""
        return Notary(self.store, self.projections, self.checkpoints, ORIGIN, KEY, lambda: self.now)

    def grow(self, events: int) -> None:
        """Append events, and fold them."""
        self.store.append_all([(uuid4(), 1, ONE_OF_EACH[0]) for _ in range(events)])
        while self.projections.advance(self.store):
            pass

    def sizes(self) -> list[int]:
        """Return the sizes of the checkpoints that are kept."""
        return [size for (size,) in self._ask("SELECT size FROM checkpoints ORDER BY size")]

    def problem(self) -> str | None:
        """Return what keeps the notary from signing."""
        with self.projections.snapshot() as tables:
            return tree_status(self.store, self.projections, tables, self.checkpoints.last()).problem

    def size(self) -> int:
        """Return how many events are signed."""
        last = self.checkpoints.last()
        return 0 if last is None else last.size


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """Return a log in SQLite files."""
    with (
        contextlib.closing(stores.sqlite(tmp_path / "log.sqlite")) as store,
        contextlib.closing(Projections(SqliteBackend(tmp_path / "rows.sqlite"))) as projections,
        contextlib.closing(SqliteControl(tmp_path / "control.sqlite")) as control,
        contextlib.closing(sqlite3.connect(tmp_path / "control.sqlite")) as asked,
    ):
        yield Place(store, projections, control, lambda text: asked.execute(text).fetchall())


@pytest.fixture
def there(database: str) -> Iterator[Place]:
    """Return a log in PostgreSQL."""
    with (
        contextlib.closing(postgres(database)) as store,
        contextlib.closing(Projections(PostgresBackend(database))) as projections,
        contextlib.closing(PostgresControl(database)) as control,
        psycopg.connect(database, autocommit=True) as asked,
    ):
        yield Place(store, projections, control, lambda text: asked.execute(text.encode()).fetchall())


@pytest.mark.parametrize("where", ["here", "there"])
def test_each_checkpoint_is_a_note_of_its_key(where: str, request: pytest.FixtureRequest) -> None:
    """With the origin, the size and the root of the tree; an idle log gets no other checkpoint."""
    place: Place = request.getfixturevalue(where)
    notary = place.notary()
    notary.check()
    assert place.checkpoints.last() is None
    for events in (1, 3, 300):
        place.grow(events)
        notary.check()
        first = place.checkpoints.last()
        notary.check()
        assert first is not None
        assert place.checkpoints.last() == first
        note = read_note(first.note)
        note.verified([read_vkey(first.vkey)])
        checkpoint = read_checkpoint(note)
        assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ORIGIN, first.size, first.root)
        with place.projections.reading() as tables:
            assert place.projections.tree.root(first.size, tables) == first.root
    assert place.size() == 304


@pytest.mark.parametrize("where", ["here", "there"])
def test_two_signers_cannot_part(where: str, request: pytest.FixtureRequest) -> None:
    """Both lead for a moment, and both follow the same checkpoint: one of them is too late."""
    place: Place = request.getfixturevalue(where)
    notary = place.notary()
    place.grow(2)
    notary.check()
    last = place.checkpoints.last()
    place.grow(2)
    mine = place.notary()._signed(4, bytes(32))
    notary.check()
    assert place.size() == 4
    assert not place.checkpoints.follow(last, mine)
    assert not place.checkpoints.follow(last, place.notary()._signed(5, bytes(32)))
    place.notary().check()
    assert place.problem() is None


def test_a_log_that_was_changed_gets_no_signature(here: Place, tmp_path: Path) -> None:
    """Although all rows are made anew from it; and when the event is as it was, signing goes on."""
    here.grow(300)
    here.notary().check()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        (state,) = database.execute("SELECT state FROM stored_events WHERE rowid = 7").fetchone()
        database.execute("UPDATE stored_events SET state = ? WHERE rowid = 7", (state + b" ",))
    rebuilt(here, tmp_path)
    here.grow(5)
    here.notary().check()
    assert (here.size(), here.problem()) == (300, "log.inconsistent")

    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("UPDATE stored_events SET state = ? WHERE rowid = 7", (state,))
    rebuilt(here, tmp_path)
    here.notary().check()
    assert (here.size(), here.problem()) == (305, None)


def test_a_log_that_lost_events_gets_no_signature(here: Place, tmp_path: Path) -> None:
    """A backup was restored: first the log is shorter, then it has other events."""
    here.grow(20)
    here.notary().check()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("DELETE FROM stored_events WHERE rowid > 10")
    rebuilt(here, tmp_path)
    here.notary().check()
    assert (here.size(), here.problem()) == (20, "log.behind")
    here.grow(15)
    here.notary().check()
    assert (here.size(), here.problem()) == (20, "log.inconsistent")


def test_rows_that_are_made_anew_are_no_problem(here: Place, tmp_path: Path) -> None:
    """While they catch up the tree is smaller than the checkpoint, and nothing is signed."""
    here.grow(30)
    here.notary().check()
    (tmp_path / "rows.sqlite").unlink()
    here.projections.close()
    here.projections = Projections(SqliteBackend(tmp_path / "rows.sqlite"))
    here.notary().check()
    assert (here.size(), here.problem()) == (30, None)
    here.grow(1)
    here.notary().check()
    assert (here.size(), here.problem()) == (31, None)


@pytest.mark.parametrize("where", ["here", "there"])
def test_old_checkpoints_are_thinned_to_one_an_hour(where: str, request: pytest.FixtureRequest) -> None:
    """The last checkpoint stays at any age."""
    place: Place = request.getfixturevalue(where)
    place.now = NOON - timedelta(days=400)
    notary = place.notary()
    for _ in range(12):
        place.grow(1)
        place.now += timedelta(minutes=20)
        notary.check()
    place.now += timedelta(days=3)
    place.grow(1)
    notary.check()
    kept = place.sizes()
    assert kept[-1] == 13
    assert 4 <= len(kept) <= 6


def rebuilt(place: Place, folder: Path) -> None:
    """Have all rows made anew, as after their loss."""
    place.projections.close()
    for one in folder.glob("rows.sqlite*"):
        one.unlink()
    place.projections = Projections(SqliteBackend(folder / "rows.sqlite"))
    while place.projections.advance(place.store):
        pass
