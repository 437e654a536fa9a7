"""The event store on PostgreSQL: the `eventsourcing` library's interface; an append takes one round trip.

The library's own PostgreSQL recorder needs 14 waits on the connection for a command and knows neither TLS nor
schema versions (9.5.6, measured and read); its ENABLE_DB_FUNCTIONS loses events. ADR 7.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
)
from psycopg.rows import dict_row, scalar_row, tuple_row

from sealward.error import SealwardError
from sealward.events.store.postgres_connections import Connection, Connections, dial, parameters
from sealward.events.store.postgres_listener import Listener
from sealward.events.store.sql import blocks
from sealward.events.store.store import EventStore, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from eventsourcing.persistence import Subscription

    from sealward.events.store.store import Counted, Found, Load, NextId

SQL: Final = blocks("sealward.events.store", "postgres.sql")
MIGRATIONS: Final = sum(name.startswith("migration-") for name in SQL)
CHANNEL: Final = "sealward_log"
MOST: Final = 20
"""Connections that the store, the projections or the control tables have at most."""
PATIENCE: Final = 5.0
"""Seconds that a caller waits for a connection before the store counts as away."""

REFUSALS: Final[tuple[type[Exception], ...]] = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    psycopg.errors.TooManyArguments,
    psycopg.errors.TooManyColumns,
)
"""The errors of PostgreSQL for values that it cannot store. The last four are OperationalErrors (class 54 of
https://www.postgresql.org/docs/current/errcodes-appendix.html), although the server is there."""


class NotMigrated(SealwardError):
    """The database has not the schema that this version of Sealward needs: run `sealward migrate`."""

    code = "store.not-migrated"


class NotAllowed(SealwardError):
    """The role that the database's URL names may not do that: use the URL that is made for it."""

    code = "store.not-allowed"


class Database:
    """Connections in autocommit; safe for many threads. It mends itself after an outage."""

    def __init__(self, url: str, search_path: str = "public") -> None:
        where = parameters(url) | {
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": "sealward",
            "options": f"-c search_path={search_path}",
        }
        self._connections = Connections(lambda: dial(where), MOST, PATIENCE)

    @property
    def opened(self) -> int:
        """How many connections were opened so far. A new connection can reach another server than before."""
        return self._connections.opened

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Give a connection.

        Raises StoreUnavailable when the server is away, before or during the `with` block, and NotAllowed
        when the role lacks a right.
        """
        with reachable():
            lent = self._connections.lend()
            try:
                yield lent
            finally:
                self._connections.take_back(lent)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside a transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def reachable() -> Iterator[None]:
    """Turn psycopg's errors into StoreUnavailable (server away) and NotAllowed (right missing)."""
    try:
        yield
    except REFUSALS:
        raise
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as away:
        raise StoreUnavailable(str(away).strip()) from away
    except psycopg.errors.InsufficientPrivilege as refused:
        raise NotAllowed(f"{str(refused).strip()}. {NotAllowed.__doc__}") from refused


class PostgresLog(ApplicationRecorder):
    """The log. Positions follow the order of commits, also when many processes write."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert_events(self, stored_events: Sequence[StoredEvent], **_kwargs: Any) -> Sequence[int]:  # noqa: ANN401 - the library's signature
        """Append in one round trip. Raises IntegrityError when a version is taken."""
        if not stored_events:
            return []
        try:
            with self._database.connection() as connection:
                cursor = connection.cursor(row_factory=scalar_row)
                return cursor.execute(SQL["append"], _columns(stored_events), prepare=True).fetchall()
        except psycopg.errors.UniqueViolation as taken:
            raise IntegrityError(str(taken)) from taken

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return a stream beyond a version."""
        if lte is not None or desc or limit is not None:
            raise NotImplementedError("a stream is read forwards, to its end")
        with self._database.connection() as connection:
            found = connection.execute(
                SQL["stream"], {"stream": originator_id, "gt": gt or 0}, prepare=True
            ).fetchall()
        return [StoredEvent(row["stream"], row["version"], row["topic"], row["state"]) for row in found]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return the log beyond a position."""
        if stop is not None or topics or inclusive_of_start:
            raise NotImplementedError("the log is read forwards, whole, from beyond a position")
        with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            cursor.execute(SQL["follow"], {"after": start or 0, "limit": limit}, prepare=True)
            found = cursor.fetchall()
        return [
            Notification(
                originator_id=stream, originator_version=version, topic=topic, state=state, id=position
            )
            for position, stream, version, topic, state in found
        ]

    def max_notification_id(self) -> int | None:
        """Return the last position."""
        with self._database.connection() as connection:
            row = connection.execute(SQL["head"], prepare=True).fetchone()
        return None if row is None else row["position"]

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Not offered: `Listener` wakes the threads that wait for the store."""
        raise NotImplementedError


def _columns(stored_events: Sequence[StoredEvent]) -> tuple[list[Any], ...]:
    return (
        [one.originator_id for one in stored_events],
        [one.originator_version for one in stored_events],
        [one.topic for one in stored_events],
        [one.state for one in stored_events],
    )


class PostgresSnapshots(AggregateRecorder):
    """The newest snapshot of each stream. A role without the right to keep snapshots keeps none."""

    def __init__(self, database: Database, *, keeps: bool) -> None:
        self._database = database
        self._keeps = keeps

    def insert_events(self, stored_events: Sequence[StoredEvent], **_kwargs: Any) -> None:  # noqa: ANN401 - the library's signature
        """Keep snapshots; older snapshots of their streams are deleted."""
        if not self._keeps:
            return
        with self._database.connection() as connection:
            connection.execute(SQL["keep-snapshots"], _columns(stored_events), prepare=True)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the newest snapshot of a stream, if there is one."""
        del gt, lte, desc, limit
        with self._database.connection() as connection:
            row = connection.execute(SQL["snapshot"], {"stream": originator_id}, prepare=True).fetchone()
        return [] if row is None else [StoredEvent(row["stream"], row["version"], row["topic"], row["state"])]


def postgres(url: str) -> EventStore:
    """Return the store in that database. Raises NotMigrated, StoreUnavailable."""
    database = Database(url)
    try:
        check_migrated(database)
        keeps = _may_keep_snapshots(database)
    except BaseException:
        database.close()
        raise
    listeners: list[Listener] = []

    def close() -> None:
        for one in listeners:
            one.stop()
        database.close()

    store = EventStore(
        PostgresLog(database),
        PostgresSnapshots(database, keeps=keeps),
        _next_id(database),
        close,
        _load(database),
        lambda: database.opened,
        _position_of(database),
    )
    listeners.append(Listener(url, CHANNEL, store.wake))
    return store


def migrate(url: str) -> list[int]:
    """Bring the schema up to date and return the numbers of the migrations that were done.

    Safe to run twice and by many processes at once: the first process migrates, and the other processes wait.
    Raises StoreUnavailable, and NotMigrated when the database is of a newer Sealward.
    """
    with reachable(), dial(parameters(url) | {"row_factory": dict_row}) as connection:
        connection.execute(SQL["lock-migrations"])
        connection.execute(SQL["create-migrations"])
        done = _done(connection)
        if done > MIGRATIONS:
            raise NotMigrated(f"the database has schema {done}, this Sealward knows {MIGRATIONS}: upgrade it")
        for number in range(done + 1, MIGRATIONS + 1):
            connection.execute(SQL[f"migration-{number}"])
            connection.execute(SQL["record"], {"number": number})
        return list(range(done + 1, MIGRATIONS + 1))


def check_migrated(database: Database) -> None:
    """Raise NotMigrated unless the database has the schema that this version needs."""
    with database.connection() as connection:
        known = connection.execute(SQL["migrations-known"]).fetchone()
        done = _done(connection) if known and known["known"] else 0
    if done != MIGRATIONS:
        message = f"the database has schema {done}, this Sealward needs {MIGRATIONS}: run `sealward migrate`"
        raise NotMigrated(message)


def _may_keep_snapshots(database: Database) -> bool:
    with database.connection() as connection:
        row = connection.execute(SQL["may-keep-snapshots"]).fetchone()
    return row is not None and bool(row["may"])


def _done(connection: Connection) -> int:
    row = connection.execute(SQL["done"]).fetchone()
    return 0 if row is None else int(row["number"])


def _loading(topics: Mapping[UUID, str], after: Mapping[UUID, int]) -> tuple[LiteralString, Any]:
    """Return statement and values. The statement for one stream takes a third of the time (PostgreSQL 15)."""
    if len(topics) == 1:
        ((stream, topic),) = topics.items()
        return SQL["load-one"], {"stream": stream, "topic": topic, "after": after.get(stream, 0)}
    return SQL["load-many"], (list(topics), list(topics.values()), [after.get(one, 0) for one in topics])


def _load(database: Database) -> Load:
    def load(topics: Mapping[UUID, str], after: Mapping[UUID, int]) -> Mapping[UUID, Found]:
        """Read snapshots and the events that follow in one statement, so that both are of the same moment."""
        with database.connection() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            rows = cursor.execute(*_loading(topics, after), prepare=True).fetchall()
        kept: dict[UUID, StoredEvent] = {}
        events: dict[UUID, list[StoredEvent]] = {stream: [] for stream in topics}
        for stream, version, topic, state, is_snapshot in rows:
            one = StoredEvent(stream, version, topic, state)
            if is_snapshot:
                kept[stream] = one
            else:
                events[stream].append(one)
        return {stream: (kept.get(stream), events[stream]) for stream in topics}

    return load


def _position_of(database: Database) -> Callable[[UUID, int], int | None]:
    def position_of(stream: UUID, version: int) -> int | None:
        with database.connection() as connection:
            row = connection.execute(SQL["position-of"], {"stream": stream, "version": version}).fetchone()
        return None if row is None else int(row["position"])

    return position_of


def _next_id(database: Database) -> NextId:
    def next_id(name: Counted) -> int:
        with database.connection() as connection:
            row = connection.execute(SQL["next-id"], {"name": name}, prepare=True).fetchone()
        if row is None:
            raise StoreUnavailable("no id was given out")
        return int(row["value"])

    return next_id
