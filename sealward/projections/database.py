"""All projections over one database: rows and the position they stand for, changed in one transaction."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING, Final, Protocol

from sealward.projections.envelopes import Envelopes
from sealward.projections.history import History
from sealward.projections.nodes import Nodes
from sealward.projections.servers import Servers
from sealward.projections.signs import Signs
from sealward.projections.tasks import Tasks
from sealward.projections.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence

    from sealward.events.along import Along
    from sealward.events.base import Recorded
    from sealward.events.store import EventStore
    from sealward.projections.tables import Tables, Values

SHAPE: Final = "13"
"""Names the shape of all rows together; rows of another shape are built anew at start."""
BATCH: Final = 5000
RARELY: Final = 50_000
"""New objects after which garbage is looked for while the log is folded: a few times a batch."""


class Backend(Protocol):
    """A database that holds the tables. What it raises when it is away is StoreUnavailable."""

    def reading(self) -> contextlib.AbstractContextManager[Tables]:
        """Give the rows as they are now; each query on its own where a transaction would cost."""

    def along(self, block: str, values: Values) -> Along | None:
        """Return a block that finds one row as a question that goes along, where that is possible."""

    def snapshot(self) -> contextlib.AbstractContextManager[Tables]:
        """Give the rows of one moment, however many queries."""

    def writing(self) -> contextlib.AbstractContextManager[Tables]:
        """Give rows that nobody else may write; what was written counts when the block ends without error."""

    def shadow(self) -> contextlib.AbstractContextManager[Backend]:
        """Give a second, empty set of tables that SQL in `writing()` reaches as `shadow`."""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when another process has changed the rows."""

    def close(self) -> None:
        """Close all connections."""


class Projection(Protocol):
    """Derives rows from the log. Whatever the batches, the same log gives the same rows."""

    name: str

    def reset(self, tables: Tables) -> None:
        """Begin with no rows."""

    def create(self, tables: Tables) -> None:
        """Make the table where there is none."""

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""


@contextlib.contextmanager
def _many_objects() -> Iterator[None]:
    """Look for garbage in cycles less often: batches have none, and looking takes a sixth of a rebuild."""
    often, *rest = gc.get_threshold()
    gc.set_threshold(RARELY, *rest)
    try:
        yield
    finally:
        gc.set_threshold(often, *rest)


class Projections:
    """All projections over one database, or `only` some. Safe for many threads and beside other processes."""

    def __init__(self, backend: Backend, only: Collection[str] | None = None) -> None:
        self.signs = Signs()
        self.envelopes = Envelopes()
        self.nodes = Nodes()
        self.servers = Servers()
        self.tasks = Tasks()
        self.history = History()
        self.totals = Totals()
        known: tuple[Projection, ...] = (
            self.signs,
            self.envelopes,
            self.nodes,
            self.servers,
            self.tasks,
            self.history,
            self.totals,
        )
        self.all = tuple(one for one in known if only is None or one.name in only)
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
        """Fold the next batch of the log into the rows; return how many events it had."""
        with self.writing() as tables:
            events = self.fold(store, tables, until)
        if events:
            self._wake()
        return events

    def catch_up(self, store: EventStore) -> Generator[int, None, None]:
        """Fold the log to its end, the next batch being read meanwhile; say how many events each had.

        It ends before, when somebody else has folded what it was about to.
        """
        position = self.position_now()
        with _many_objects(), contextlib.closing(store.batches(position, BATCH)) as batches:
            for batch in batches:
                with self.writing() as tables:
                    if self.position(tables) != position:
                        return
                    tables.run("database.not-durable")
                    self._fold(batch, tables)
                position = batch[-1].position
                self._wake()
                yield len(batch)

    def fold(self, store: EventStore, tables: Tables, until: int | None = None) -> int:
        """Do the same inside a transaction of the caller; nothing beyond `until`."""
        batch = store.follow(self.position(tables), BATCH)
        if until is not None:
            batch = [one for one in batch if one.position <= until]
        if batch:
            self._fold(batch, tables)
        return len(batch)

    def _fold(self, batch: Sequence[Recorded], tables: Tables) -> None:
        for projection in self.all:
            projection.apply(batch, tables)
        self.keep_position(tables, batch[-1].position)

    def keep_position(self, tables: Tables, position: int) -> None:
        """Say which position the rows stand for."""
        tables.run("database.set-position", {"value": position, "shape": SHAPE})

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until the rows stand for that position or a later one; say whether they do."""
        with self._advanced:
            return self._advanced.wait_for(lambda: self.position_now() >= position, timeout)

    def wait_until(self, done: Callable[[Tables], bool], timeout: float) -> bool:
        """Wait until the rows are as `done` wants them; say whether they are."""

        def look() -> bool:
            with self.reading() as tables:
                return done(tables)

        with self._advanced:
            return self._advanced.wait_for(look, timeout)

    def _wake(self) -> None:
        with self._advanced:
            self._advanced.notify_all()

    def _set_up(self) -> None:
        """Make the tables, unless they are there in the right shape: then whoever may only read can go on."""
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
