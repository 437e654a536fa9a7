"""One-event commands on PostgreSQL by four writers, against the same on the library's default recorder.

A command is what it is in service: load a stream, decide, append one event; each writer has its own.
Also: the recorders alone, the same stored events through `insert_events`.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresApplicationRecorder, PostgresDatastore
from factories import event
from private import postgres_server
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.messages import RequestValidation
from sealward.commands.writer.handler import Handler
from sealward.events.base import utc_now
from sealward.events.sign import SignValidationRequested
from sealward.events.store.postgres import Database, PostgresLog, postgres
from sealward.events.store.store import EventStore
from sealward.events.wire import codec
from stack.postgres import Postgres

WRITERS = 4
COMMANDS = 250
ROUNDS = 5
Work = Callable[[int], None]


def library(server: Postgres) -> PostgresDatastore:
    """Return the library's datastore on a database of its own."""
    server.create("library")
    return PostgresDatastore(
        dbname="library", host=str(server.folder), port="5432", user="postgres", password="none"
    )


def stored_by(datastore: PostgresDatastore) -> EventStore:
    """Return a store on the library's default recorders."""
    log = PostgresApplicationRecorder(datastore, events_table_name="events")
    snapshots = PostgresAggregateRecorder(datastore, events_table_name="snapshots")
    log.create_table()
    snapshots.create_table()
    counter = itertools.count(1)
    return EventStore(log, snapshots, lambda _: next(counter), datastore.close)


def commands(store: EventStore) -> Work:
    """Return what one writer does: so many commands on a stream of its own."""
    handler = Handler(store, None, clock=utc_now, fresh_for=timedelta(minutes=15))
    node = Reporter("kvm1", 1)

    def work(count: int) -> None:
        server_id = str(uuid.uuid4())
        handler.handle(node.order(server_id))
        for number in range(count):
            handler.handle(
                RequestValidation(
                    context=RequestContext(actor="user:admin", task_id=f"t-{number}"), server_id=server_id
                )
            )

    return work


def inserts(log: ApplicationRecorder) -> Work:
    """Return the same for a recorder alone."""
    state = codec.encode(event(SignValidationRequested))

    def work(count: int) -> None:
        stream = uuid.uuid4()
        for version in range(1, count + 1):
            log.insert_events([StoredEvent(stream, version, "sign.validation-requested", state)])

    return work


def rate(work: Work) -> float:
    """Return how many of what `work` does all writers together did in a second."""
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, [5] * WRITERS))  # connections, prepared statements
        began = time.perf_counter()
        list(pool.map(work, [COMMANDS] * WRITERS))
        return WRITERS * COMMANDS / (time.perf_counter() - began)


def compare(ours: Work, theirs: Work) -> tuple[float, float]:
    """Return both rates, measured in turns; of each the median."""
    rates = [(rate(ours), rate(theirs)) for _ in range(ROUNDS)]
    return statistics.median(one for one, _ in rates), statistics.median(one for _, one in rates)


def main() -> int:
    """Print rates and ratios; 1 when commands are too slow."""
    with postgres_server() as server, Database(server.url()) as database:
        datastore = library(server)
        store, default = postgres(server.url()), stored_by(datastore)
        alone = compare(
            inserts(PostgresLog(database)),
            inserts(PostgresApplicationRecorder(datastore, events_table_name="events")),
        )
        ours, theirs = compare(commands(store), commands(default))
        store.close()
        datastore.close()
    ratio = alone[0] / alone[1]
    print(f"{WRITERS} writers, recorders alone: {alone[0]:,.0f} and {alone[1]:,.0f} events/s ({ratio:.2f}x)")
    print(f"{WRITERS} writers, commands: {ours:,.0f} and {theirs:,.0f} commands/s")
    return report(
        Bound("one-event commands, against the library's default", ours / theirs, 2.0, "x"),
    )


if __name__ == "__main__":
    sys.exit(main())
