"""Full rebuild of all projections on PostgreSQL, against the library's runner: one event a transaction.

The log: 8,000 servers signed, sealed, validated and re-signed, as a fleet's log is. The library's
`ProjectionRunner` (eventsourcing 9.5.6) folds the beginning of the same log with the same projections, its
tracking record in the same transaction. A second figure is our own runner with batches of one event.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import psycopg
from bounds import Bound, report
from eventsourcing.application import Application
from eventsourcing.persistence import Mapper, StoredEvent, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from factories import event
from private import postgres_server

from sealward.events.base import Event, Recorded, node_stream, sign_stream
from sealward.events.node import InstanceAppeared, NodeRegistered
from sealward.events.sign import SignCreated, SignSealed, SignUpdated, SignValidated
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.events.wire import codec
from sealward.projections.store import database as projections_database
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend, PostgresTables
from stack.postgres import Postgres

SERVERS = 8_000
EACH = (
    SignCreated,
    SignSealed,
    SignValidated,
    SignValidated,
    SignUpdated,
    SignSealed,
    *(SignValidated,) * 19,
)
SINGLE = 2_000


def fill(store: EventStore) -> int:
    """Write the log and return how many events it has."""
    payload = base64.b64encode(os.urandom(2_250)).decode()
    envelope: dict[str, object] = {"payload": payload, "payloadType": "x", "signatures": []}
    store.append(node_stream("kvm2"), 0, [event(NodeRegistered, task_id=None)])
    version = 1
    for start in range(0, SERVERS, 500):
        servers = [str(uuid.UUID(int=number + 1)) for number in range(start, start + 500)]
        appeared: list[Event] = [
            event(InstanceAppeared, server_id=one, task_id=None, instance_name=one) for one in servers
        ]
        store.append(node_stream("kvm2"), version, appeared)
        version += len(appeared)
        for number, one in enumerate(servers, start + 1):
            facts = [event(kind, server_id=one, sign_id=number, task_id=None) for kind in EACH]
            changed = [
                dataclasses.replace(fact, envelope=envelope) if isinstance(fact, SignSealed) else fact
                for fact in facts
            ]
            store.append(sign_stream(one), 0, changed)
    return store.head()


def rebuild(store: EventStore, url: str, limit: int) -> float:
    """Return events a second of a rebuild, of `limit` events at most."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS main CASCADE")
    projections = Projections(PostgresBackend(url))
    began, events = time.perf_counter(), 0
    for batch in projections.catch_up(store):
        events += batch
        if events >= limit:
            break
    seconds = time.perf_counter() - began
    projections.close()
    return events / seconds


class OurMapper(Mapper[Any]):
    """Lets the library's runner read our events."""

    def to_domain_event(self, stored_event: StoredEvent) -> Any:  # noqa: ANN401 - the library's signature
        """Return an event as our projections want it."""
        one: Any = stored_event
        return Recorded(one.id, one.originator_id, one.originator_version, codec.decode(one.topic, one.state))


class Log(Application[Any]):
    """The library's side of the log."""

    name = "log"

    def construct_mapper(self) -> Mapper[Any]:
        """Return our mapper."""
        return OurMapper(self.construct_transcoder())


class Rows(PostgresTrackingRecorder):
    """All our projections in the library's transaction."""

    folding: Projections

    def fold(self, recorded: Recorded, tracking: Tracking) -> None:
        """Fold one event, and say so, in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            connection: Any = cursor.connection
            tables: Any = PostgresTables(connection)
            for one in self.folding.all:
                one.apply([recorded], tables)
            self._insert_tracking(cursor, tracking)


class OneByOne(Projection[Rows]):
    """The library's projection."""

    name = "rows"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ANN401 - as above
        """Fold it."""
        self.view.fold(domain_event, tracking)


def by_the_library(store: EventStore, server: Postgres) -> float:
    """Return events a second of the library's runner on the first `SINGLE` events."""
    url = server.create("library")
    Rows.folding = Projections(PostgresBackend(url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE library SET search_path = main, public")
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": "library",
        "POSTGRES_HOST": str(server.folder),
        "POSTGRES_PORT": "5432",
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "none",
    }
    app = Log(env)
    events = [one for after in range(0, SINGLE, 500) for one in store.follow(after, 500)]
    stored = [
        StoredEvent(one.stream, one.version, one.event.topic, codec.encode(one.event)) for one in events
    ]
    for start in range(0, SINGLE, 50):  # the library hangs on large pipelines
        ids = app.recorder.insert_events(stored[start : start + 50])
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Log, projection_class=OneByOne, view_class=Rows, env=env
    ) as runner:
        runner.wait((ids or [0])[-1], timeout=120)
        seconds = time.perf_counter() - began
    app.close()
    Rows.folding.close()
    return len(events) / seconds


def main() -> int:
    """Print all rates and the ratio; 1 when it is below the target."""
    with postgres_server() as server:
        store = postgres(server.url())
        count = fill(store)
        ours = rebuild(store, server.url(), count)
        batch, projections_database.BATCH = projections_database.BATCH, 1  # type: ignore[misc]  # to compare
        single = rebuild(store, server.url(), SINGLE)
        projections_database.BATCH = batch  # type: ignore[misc]  # as above
        library = by_the_library(store, server)
        store.close()
    print(f"rebuild of {count:,} events: {ours:,.0f} events/s")
    print(f"one event a transaction: the library's runner {library:,.0f}, ours {single:,.0f} events/s")
    return report(
        Bound("full rebuild, against the library's runner", ours / library, 25, "x"),
        Bound("full rebuild", ours, 50_000, "events/s"),
    )


if __name__ == "__main__":
    sys.exit(main())
