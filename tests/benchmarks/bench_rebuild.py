"""Full rebuild of all projections on PostgreSQL, against one event a transaction.

The log: 8,000 servers signed, sealed, validated and re-signed, as a fleet's log is. The bound is the same
folding with a transaction for each event, which is what the library's runner does.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from factories import ONE_OF_EACH, event

from sealward.events.base import Event, node_stream, sign_stream
from sealward.events.node import InstanceAppeared, NodeRegistered
from sealward.events.postgres import migrate, postgres
from sealward.events.sign import SignCreated, SignSealed, SignUpdated, SignValidated
from sealward.events.store import EventStore
from sealward.projections import database as projections_database
from sealward.projections.database import Projections
from sealward.projections.postgres import PostgresBackend
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
    envelope: dict[str, object] = {"payload": "e" * 3000, "payloadType": "x", "signatures": []}
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
    import psycopg  # noqa: PLC0415 - the benchmark's own

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS main CASCADE")
    projections = Projections(PostgresBackend(url))
    began, events = time.perf_counter(), 0
    while events < limit and (batch := projections.advance(store)):
        events += batch
    seconds = time.perf_counter() - began
    projections.close()
    return events / seconds


def main() -> int:
    """Print both rates and their ratio; 1 when it is below the target."""
    folder = Path(tempfile.mkdtemp(prefix="sw-", dir="/tmp"))
    server = Postgres(folder)
    server.start()
    try:
        migrate(server.url())
        store = postgres(server.url())
        count = fill(store)
        ours = rebuild(store, server.url(), count)
        batch, projections_database.BATCH = projections_database.BATCH, 1  # type: ignore[misc]  # the bound
        single = rebuild(store, server.url(), SINGLE)
        projections_database.BATCH = batch  # type: ignore[misc]  # as above
        store.close()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    ratio = ours / single
    print(f"rebuild of {count} events ({len(ONE_OF_EACH)} kinds known): {ours:,.0f} events/s")
    print(f"one event a transaction: {single:,.0f} events/s  ratio {ratio:.1f}  (target 25, 50,000 events/s)")
    return 0 if ratio >= 25 and ours >= 50_000 else 1


if __name__ == "__main__":
    sys.exit(main())
