"""The event store: append with optimistic concurrency, read a stream, follow the log.

The recorders are those of the `eventsourcing` library (9.5.6); `codec` makes the bytes that they store. The
order of the log is the order of commits.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

from eventsourcing.persistence import IntegrityError, InterfaceError, OperationalError, StoredEvent
from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder
from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteApplicationRecorder, SQLiteDatastore

from sealward.error import SealwardError
from sealward.events.base import Event, Recorded, Stored
from sealward.events.set_aside import Unread
from sealward.events.store.sql import blocks
from sealward.events.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from eventsourcing.persistence import AggregateRecorder, ApplicationRecorder, Notification

    Found = tuple[StoredEvent | None, Sequence[StoredEvent]]


class VersionConflict(SealwardError):
    """Another writer appended to the stream first: load it again and decide again."""

    code = "store.version-conflict"


class StoreUnavailable(SealwardError):
    """The store does not answer now; the request was not carried out, or its outcome is not known."""

    code = "store.unavailable"
    part: Final = "the store"
    """The name under which `absences` knows that it is away."""


Counted = Literal["sign", "node"]
"""The names that `NextId` gives out ids for."""


class NextId(Protocol):
    """Give out the integer ids that API clients know: 1, 2, 3 … for each name, no id twice."""

    def __call__(self, name: Counted) -> int:
        """Return the next id of that name."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a stream after `version`, as its owner encoded it."""

    stream: UUID
    version: int
    topic: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """A stream as loaded: its newest snapshot, if that has the wanted topic, and the events that follow it.

    When an event cannot be read, `unreadable` says why, and `events` ends before that event.
    """

    snapshot: Snapshot | None
    events: list[Event]
    unreadable: codec.EventRefused | None = None


class Load(Protocol):
    """Read many streams at once."""

    def __call__(self, topics: Mapping[UUID, str], after: Mapping[UUID, int]) -> Mapping[UUID, Found]:
        """Return for each stream the newest snapshot, if it has that topic, and the events beyond it.

        Only snapshots and events beyond the stream's version in `after` are returned.
        """


class EventStore:
    """The log. Safe for many threads; on files and on PostgreSQL also for many processes."""

    def __init__(  # noqa: PLR0913, PLR0917 - one argument for each part
        self,
        log: ApplicationRecorder,
        snapshots: AggregateRecorder,
        next_id: NextId,
        close: Callable[[], None],
        load: Load | None = None,
        era: Callable[[], int] = lambda: 0,
        position_of: Callable[[UUID, int], int | None] | None = None,
    ) -> None:
        self._log = log
        self._snapshots = snapshots
        self._load = load or self._one_by_one
        self.next_id = next_id
        self.close = close
        self.era = era
        """A number that changes when the log may have been replaced: by the log of a standby, which may lack
        the last events, or of a backup. Readers then discard the events that they have read before."""
        self._position_of = position_of or self._looked_for
        self._grown = threading.Condition()

    def append(self, stream: UUID, expected_version: int, events: Sequence[Event]) -> int:
        """Append all events or none after `expected_version` (0: a new stream); return the last's position.

        Raises VersionConflict when the stream is longer than expected.
        """
        return self.append_all(
            [(stream, version, one) for version, one in enumerate(events, expected_version + 1)]
        )

    def append_all(self, events: Sequence[tuple[UUID, int, Event]]) -> int:
        """Append events of many streams, each with its version there, all or none, in that order.

        Returns the position of the last event. Raises VersionConflict when a version is taken, and Unfit for
        an event that a reader of the log could not carry (`values`): then no event is appended.
        """
        stored = [
            StoredEvent(stream, version, event.topic, codec.write(event)) for stream, version, event in events
        ]
        try:
            with available():
                positions = self._log.insert_events(stored)
        except IntegrityError as conflict:
            raise VersionConflict from conflict
        self.wake()
        return positions[-1] if positions else self.head()

    def load(self, topics: Mapping[UUID, str], after: Mapping[UUID, int] | None = None) -> dict[UUID, Loaded]:
        """Return streams, each from its snapshot when the snapshot has the topic that `topics` names.

        A stream with a version in `after` is read beyond that version. On PostgreSQL many streams take one
        round trip. Raises EventFromNewerVersion.
        """
        with available():
            found = self._load(topics, after or {})
        return {stream: _loaded(_snapshot(stream, kept), events) for stream, (kept, events) in found.items()}

    def _one_by_one(self, topics: Mapping[UUID, str], after: Mapping[UUID, int]) -> Mapping[UUID, Found]:
        found = {}
        for stream, topic in topics.items():
            known = after.get(stream, 0)
            newest = self._snapshots.select_events(stream, gt=known or None, desc=True, limit=1)
            kept = next((one for one in newest if one.topic == topic), None)
            beyond = known if kept is None else kept.originator_version
            found[stream] = (kept, self._log.select_events(stream, gt=beyond or None))
        return found

    def read(self, stream: UUID, after: int = 0) -> list[Event]:
        """Return the stream's events beyond that version, in order. Raises EventRefused."""
        with available():
            return _decoded(self._log.select_events(stream, gt=after))

    def follow(self, after: int, limit: int = 500) -> list[Recorded]:
        """Return up to `limit` events of the whole log beyond that position. Raises EventRefused."""
        return [
            Recorded(
                one.id,
                cast("UUID", one.originator_id),
                one.originator_version,
                codec.decode(one.topic, one.state),
            )
            for one in self._beyond(after, limit)
        ]

    def entries(self, after: int, limit: int = 500) -> list[Recorded | Unread]:
        """Return entries of the log beyond a position; an Unread for each entry that cannot be read.

        Raises EventFromNewerVersion.
        """
        return [_readable(one) for one in self.copy(after, limit)]

    def copy(self, after: int, limit: int = 500) -> list[Stored]:
        """Return up to `limit` entries of the whole log beyond that position, as they are."""
        return [
            Stored(
                one.id, cast("UUID", one.originator_id), one.originator_version, one.topic, _bytes(one.state)
            )
            for one in self._beyond(after, limit)
        ]

    def _beyond(self, after: int, limit: int) -> Sequence[Notification]:
        with available():
            return self._log.select_notifications(after, limit, inclusive_of_start=False)

    def batches(self, after: int, limit: int) -> Generator[list[Recorded | Unread], None, None]:
        """Give the log beyond a position to its end, `limit` entries at a time. Raises EventFromNewerVersion.

        While the caller works on a batch, the next batch is read ahead, and no further batch.
        """
        with ThreadPoolExecutor(1, "reader") as reader:
            reading = reader.submit(self.entries, after, limit)
            while batch := reading.result():
                reading = reader.submit(self.entries, batch[-1].position, limit)
                yield batch

    def position_of(self, stream: UUID, version: int) -> int | None:
        """Return the position of a stream's event in the log; None where there is no such event."""
        with available():
            return self._position_of(stream, version)

    def _looked_for(self, stream: UUID, version: int) -> int | None:
        position = 0
        while batch := self.copy(position):
            position = batch[-1].position
            for one in batch:
                if (one.stream, one.version) == (stream, version):
                    return one.position
        return None

    def position_at(self, moment: datetime) -> int:
        """Return the last position whose event and all earlier events are older than `moment`.

        Bisects the log. The answer is off by as much as the clocks of the writers differ.
        """
        low, high = 0, self.head()
        while low < high:
            middle = (low + high) // 2
            later = self._first_readable(middle)
            if later is None or later.position > high or later.event.timestamp >= moment:
                high = middle
            else:
                low = later.position
        return low

    def _first_readable(self, after: int) -> Recorded | None:
        """Return the first event beyond a position that can be read."""
        while batch := self.entries(after, 1):
            if isinstance(batch[0], Recorded):
                return batch[0]
            after = batch[0].position
        return None

    def head(self) -> int:
        """Return the last position of the log, 0 when it is empty."""
        with available():
            return self._log.max_notification_id() or 0

    def wake(self) -> None:
        """Wake all threads that wait for the log to grow, so that they look again."""
        with self._grown:
            self._grown.notify_all()

    def wait_beyond(self, position: int, timeout: float) -> bool:
        """Wait until the log is longer than `position`, at most `timeout` seconds; say whether it is.

        Appends of this process end the wait at once. On PostgreSQL a `Listener` ends it for appends of other
        processes; on files these are seen when the time is over.
        """
        with self._grown:
            return self._grown.wait_for(lambda: self.head() > position, timeout)

    def snapshot(self, stream: UUID) -> Snapshot | None:
        """Return the newest snapshot of a stream."""
        with available():
            found = self._snapshots.select_events(stream, desc=True, limit=1)
        return _snapshot(stream, next(iter(found), None))

    def keep_snapshots(self, snapshots: Iterable[Snapshot]) -> None:
        """Keep snapshots of many streams. A snapshot that another writer kept first stays: it is as good."""
        stored = [StoredEvent(one.stream, one.version, one.topic, one.state) for one in snapshots]
        with available(), contextlib.suppress(IntegrityError):
            if stored:
                self._snapshots.insert_events(stored)


def _bytes(state: object) -> bytes:
    """Return the bytes of an event. SQLite returns text when another program wrote text into the column."""
    return state if isinstance(state, bytes) else str(state).encode("utf-8", "surrogatepass")


def _snapshot(stream: UUID, kept: StoredEvent | None) -> Snapshot | None:
    return None if kept is None else Snapshot(stream, kept.originator_version, kept.topic, kept.state)


def _loaded(kept: Snapshot | None, events: Sequence[StoredEvent]) -> Loaded:
    read: list[Event] = []
    for one in events:
        try:
            read.append(codec.decode(one.topic, one.state))
        except codec.EventFromNewerVersion:
            raise
        except codec.EventRefused as refused:
            return Loaded(kept, read, refused)
    return Loaded(kept, read)


def _readable(entry: Stored) -> Recorded | Unread:
    try:
        return codec.read(entry)
    except codec.EventFromNewerVersion:
        raise
    except codec.EventRefused as refused:
        return Unread(entry, refused)


def _decoded(events: Sequence[StoredEvent]) -> list[Event]:
    return [codec.decode(one.topic, one.state) for one in events]


@contextlib.contextmanager
def available() -> Iterator[None]:
    """Turn the errors of the library and of SQLite for data that cannot be reached into StoreUnavailable."""
    try:
        yield
    except (InterfaceError, OperationalError, sqlite3.OperationalError) as away:
        raise StoreUnavailable(str(away)) from away


def in_memory() -> EventStore:
    """Return a store that lives as long as the process: for tests."""
    counters: dict[str, itertools.count[int]] = {}
    return EventStore(
        POPOApplicationRecorder(),
        POPOAggregateRecorder(),
        lambda name: next(counters.setdefault(name, itertools.count(1))),
        lambda: None,
    )


def sqlite(path: Path) -> EventStore:
    """Return the store in that SQLite file, which is made when missing."""
    datastore = SQLiteDatastore(str(path))
    log = SQLiteApplicationRecorder(datastore)
    snapshots = SQLiteAggregateRecorder(datastore, "stored_snapshots")
    log.create_table()
    snapshots.create_table()
    return EventStore(log, snapshots, _sqlite_sequence(datastore), datastore.close)


def _sqlite_sequence(datastore: SQLiteDatastore) -> NextId:
    statements = blocks("sealward.events.store", "sqlite.sql")
    with datastore.transaction(commit=True) as cursor:
        cursor.execute(statements["create-sequences"])

    def next_id(name: Counted) -> int:
        with available(), datastore.transaction(commit=True) as cursor:
            cursor.execute(statements["next-id"], (name,))
            return int(cursor.fetchone()["value"])

    return next_id
