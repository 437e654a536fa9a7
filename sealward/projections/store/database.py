"""All projections in a database. Their rows and their position in the log change in the same transaction."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from typing import TYPE_CHECKING, Final, Protocol

from sealward.events.base import Recorded, utc_now
from sealward.events.set_aside import BROKEN, Unread, detail_of
from sealward.events.wire.codec import EventFromNewerVersion
from sealward.projections.registered import Registered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence
    from datetime import datetime

    from sealward.events.store.store import EventStore
    from sealward.projections.projection import Projection
    from sealward.projections.store.backend import Backend
    from sealward.projections.store.tables import Tables

log = logging.getLogger(__name__)

SHAPE: Final = "19"
"""The version of the tables' shape. Rows of another shape are built anew at start."""
BATCH: Final = 5000
RARELY: Final = 50_000
"""New objects after which garbage is looked for while the log is folded: a few times a batch."""


class Batches(Protocol):
    """A log that gives its events in order, batch by batch."""

    def batches(self, after: int, limit: int) -> Generator[list[Recorded | Unread], None, None]:
        """Give the events beyond a position, about `limit` at a time."""


@contextlib.contextmanager
def _many_objects() -> Iterator[None]:
    """Look for garbage in cycles less often: batches have none, and looking takes a sixth of a rebuild."""
    often, *rest = gc.get_threshold()
    gc.set_threshold(RARELY, *rest)
    try:
        yield
    finally:
        gc.set_threshold(often, *rest)


class Projections(Registered):
    """All projections in a database, or the projections in `only`. Safe for many threads and processes."""

    def __init__(
        self,
        backend: Backend,
        only: Collection[str] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._refusals = (*BROKEN, *backend.refusals)
        self.all: tuple[Projection, ...] = tuple(
            one for one in self.registered() if only is None or one.name in only or one is self.set_aside
        )
        """The projections that this database has."""
        self._has_tree = self.tree in self.all
        self.backend = backend
        self.reading = backend.reading
        self.snapshot = backend.snapshot
        self.writing = backend.writing
        self.close = backend.close
        self._advanced = threading.Condition()
        self._set_up()
        backend.on_change(self._wake)

    def position(self, tables: Tables) -> int:
        """Return the position of the log that the rows stand for."""
        found = tables.one("database.position")
        return int(found["value"]) if found else 0

    def position_now(self) -> int:
        """Return the position that the rows stand for now."""
        with self.reading() as tables:
            return self.position(tables)

    def advance(self, store: EventStore, until: int | None = None) -> int:
        """Fold the next batch of the log into the rows; return how many events it had.

        An event that cannot be folded is set aside. Raises EventFromNewerVersion.
        """
        try:
            with self.writing() as tables:
                events = self.fold(store, tables, until)
        except EventFromNewerVersion:
            raise
        except self._refusals:
            with self.writing() as tables:
                events = self.fold(store, tables, until, one_by_one=True)
        if events:
            self._wake()
        return events

    def catch_up(self, store: Batches) -> Generator[int, None, None]:
        """Fold the log to its end, and read the next batch meanwhile; yield each batch's number of events.

        Ends early when another process has folded the same batch.
        """
        position = self.position_now()
        with _many_objects(), contextlib.closing(store.batches(position, BATCH)) as batches:
            for batch in batches:
                try:
                    is_folded = self._fold_beyond(position, batch)
                except self._refusals:
                    is_folded = self._fold_beyond(position, batch, one_by_one=True)
                if not is_folded:
                    return
                position = batch[-1].position
                self._wake()
                yield len(batch)

    def fold(
        self, store: EventStore, tables: Tables, until: int | None = None, *, one_by_one: bool = False
    ) -> int:
        """Fold the next batch inside the caller's transaction, up to `until`; return its number of events.

        With `one_by_one` an event that cannot be folded is set aside, which is slower. Otherwise it raises.
        """
        position = self.position(tables)
        batch = store.entries(position, BATCH)
        if until is not None:
            batch = [one for one in batch if one.position <= until]
        if batch:
            self._fold(position, batch, tables, one_by_one=one_by_one)
        return len(batch)

    def _fold_beyond(
        self, position: int, batch: Sequence[Recorded | Unread], *, one_by_one: bool = False
    ) -> bool:
        """Fold a batch if the rows stand for that position. Return False if they stand for another."""
        with self.writing() as tables:
            if self.position(tables) != position:
                return False
            tables.run("database.not-durable")
            self._fold(position, batch, tables, one_by_one=one_by_one)
        return True

    def _fold(
        self, after: int, batch: Sequence[Recorded | Unread], tables: Tables, *, one_by_one: bool
    ) -> None:
        if self._has_tree:
            self.tree.fold(after, batch, tables)
        for one in batch:
            if isinstance(one, Unread):
                self._put_aside(tables, one.position, one.entry.topic, one.why)
        readable = [one for one in batch if isinstance(one, Recorded)]
        if one_by_one:
            self._one_by_one(readable, tables)
        else:
            self._apply(readable, tables)
        self.keep_position(tables, batch[-1].position)

    def _apply(self, batch: Sequence[Recorded], tables: Tables) -> None:
        for projection in self.all:
            projection.apply(batch, tables)

    def _one_by_one(self, batch: Sequence[Recorded], tables: Tables) -> None:
        """Fold a batch and set aside the events that cannot be folded: halving the batch finds them."""
        try:
            with tables.attempt():
                self._apply(batch, tables)
        except self._refusals as refused:
            if len(batch) > 1:
                middle = len(batch) // 2
                self._one_by_one(batch[:middle], tables)
                self._one_by_one(batch[middle:], tables)
                return
            (one,) = batch
            self._put_aside(tables, one.position, one.event.topic, refused)
            with contextlib.suppress(*self._refusals), tables.attempt():
                self.signs.doubt(one.event, tables)

    def _put_aside(self, tables: Tables, position: int, topic: str, why: Exception) -> None:
        log.error("the projections set event %d (%s) aside: %s", position, topic, detail_of(why))
        self.set_aside.put(tables, position, topic, why, self._clock())

    def keep_position(self, tables: Tables, position: int) -> None:
        """Keep the position that the rows stand for."""
        tables.run("database.set-position", {"value": position, "shape": SHAPE})

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until the rows stand for that position or a later position; say whether they do."""
        with self._advanced:
            return self._advanced.wait_for(lambda: self.position_now() >= position, timeout)

    def wait_until(self, done: Callable[[Tables], bool], timeout: float) -> bool:
        """Wait until the rows are as `done` wants them; say whether they are."""

        def is_done() -> bool:
            with self.reading() as tables:
                return done(tables)

        with self._advanced:
            return self._advanced.wait_for(is_done, timeout)

    def _wake(self) -> None:
        with self._advanced:
            self._advanced.notify_all()

    def _set_up(self) -> None:
        """Make the tables, unless they exist in the right shape: then the right to read is enough."""
        with self.reading() as tables:
            if self._is_in_shape(tables):
                return
        with self.writing() as tables:
            if self._is_in_shape(tables):
                return
            tables.run("database.create-position")
            for projection in self.all:
                projection.reset(tables)
            self.keep_position(tables, 0)

    def _is_in_shape(self, tables: Tables) -> bool:
        made = tables.one("database.is-made")
        if made is None or not made["is_made"]:
            return False
        found = tables.one("database.position")
        return found is not None and found["shape"] == SHAPE
