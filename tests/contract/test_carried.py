"""Each value that the types of an event allow is carried by every reader of the log, and comes back equal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kombu
import psycopg
import pytest
from amounts import examples
from factories import NOON, event
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import drawn

from sealward.events import values
from sealward.events.base import Event, node_stream, sign_stream
from sealward.events.bus.amqp import EXCHANGE, AmqpPublisher
from sealward.events.bus.bus import Bus
from sealward.events.bus.connection import connect
from sealward.events.bus.relay import BusPublisher
from sealward.events.node import NodeEvent, NodeRegistered
from sealward.events.sign import SignCreated, SignEvent
from sealward.events.store import store as stores
from sealward.events.store.postgres import migrate, postgres
from sealward.events.store.store import EventStore
from sealward.events.wire import cloudevent, codec
from sealward.projections.celery_events import EXCHANGE as CELERY
from sealward.projections.celery_events import CeleryEvents
from sealward.projections.store.backend import Backend
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.replay import replay
from sealward.projections.store.sqlite import SqliteBackend
from stack.postgres import Postgres
from stack.rabbitmq import RabbitMQ

EXAMPLES = 12


@dataclass
class Readers:
    """Every reader of the log, on real servers; what one of them has set aside."""

    database: str
    logs: list[EventStore]
    rows: list[Projections]
    publisher: AmqpPublisher
    celery: CeleryEvents
    broker: kombu.Connection
    relayed: kombu.Queue
    announced: kombu.Queue
    aside: list[tuple[int, str, Exception]]

    def heard(self, queue: kombu.Queue) -> list[Any]:
        """Take what has come to a queue."""
        found = []
        bound = queue(self.broker.default_channel)
        while (message := bound.get(no_ack=True)) is not None:
            found.append(message)
        return found


@pytest.fixture(scope="module")
def readers(
    postgres_server: Postgres, rabbitmq_server: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Readers]:
    """Yield readers that begin with an empty log."""
    folder: Path = tmp_path_factory.mktemp("carried")
    name = f"t{uuid.uuid4().hex}"
    url = postgres_server.create(name)
    migrate(url)
    logs = [stores.in_memory(), stores.sqlite(folder / "log.sqlite"), postgres(url)]
    backends: list[Backend] = [SqliteBackend(folder / "rows.sqlite"), PostgresBackend(url)]
    rows = [Projections(one) for one in backends]
    aside: list[tuple[int, str, Exception]] = []

    def set_aside(position: int, topic: str, why: Exception) -> None:
        aside.append((position, topic, why))

    publisher = AmqpPublisher(rabbitmq_server.url, set_aside=set_aside)
    bus = Bus(rabbitmq_server.url, name)
    celery = CeleryEvents(bus, rows[1], 1.0, lambda: NOON, set_aside)
    with connect(rabbitmq_server.url) as broker:
        queues = relayed, announced = _queue(name, EXCHANGE), _queue(name, CELERY)
        for one in queues:
            one(broker.default_channel).declare()
        yield Readers(url, logs, rows, publisher, celery, broker, relayed, announced, aside)
        for one in queues:
            one(broker.default_channel).delete()
    publisher.close()
    bus.close()
    for projections in rows:
        projections.close()
    for log in logs:
        log.close()
    postgres_server.drop(name)


def _queue(name: str, exchange: str) -> kombu.Queue:
    whole = kombu.Exchange(exchange, "topic", durable=True)
    return kombu.Queue(f"{name}.{exchange}", whole, routing_key="#", auto_delete=True)


def before(one: Event) -> list[Event]:
    """Return what must have happened before: the sign and the node that an event is about."""
    found: list[Event] = []
    if isinstance(one, SignEvent | NodeEvent) and not isinstance(one, NodeRegistered):
        found.append(event(NodeRegistered, node_id=one.node_id))
    if isinstance(one, SignEvent) and not isinstance(one, SignCreated):
        same = {"sign_id": one.sign_id, "server_id": one.server_id, "node_id": one.node_id}
        found.append(event(SignCreated, **same))
    return found


@pytest.mark.parametrize("kind", codec.EVENTS.values(), ids=lambda one: one.topic)
def test_whatever_the_types_allow_is_carried(readers: Readers, kind: type[Event]) -> None:
    """Stores, rows, a rebuild of them, the relay with its broker, and what Celery's clients see."""

    @settings(
        max_examples=examples(EXAMPLES),
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
        derandomize=False,
    )
    @given(drawn(kind))
    def holds(one: Event) -> None:
        values.check(one)
        _is_stored(readers, one)
        _is_projected(readers)
        _is_relayed(readers, one)
        assert readers.aside == []

    holds()


def _is_stored(readers: Readers, one: Event) -> None:
    stream = uuid.uuid4()
    for log in readers.logs:
        log.append(stream, 0, [*before(one), one])
        assert log.read(stream)[-1] == one


def _is_projected(readers: Readers) -> None:
    for log, rows in zip(readers.logs[1:], readers.rows, strict=True):
        with rows.writing() as tables:  # ids are taken once in a log; here every example has a log of its own
            for projection in rows.all:
                projection.reset(tables)
        rows.advance(log)
        with rows.reading() as tables:
            assert rows.set_aside.all(tables) == []
    with psycopg.connect(readers.database) as connection:
        connection.execute("SELECT * FROM main.celery_taskmeta").fetchall()


def _is_relayed(readers: Readers, one: Event) -> None:
    log = readers.logs[-1]
    entries = log.copy(log.head() - len(before(one)) - 1)
    readers.publisher.publish(entries)
    readers.celery.publish(entries)
    came = readers.heard(readers.relayed)

    assert cloudevent.parse(bytes(came[-1].body)).event == one
    assert came[-1].properties.get("correlation_id") == one.task_id
    for message in readers.heard(readers.announced):
        assert json.loads(message.body)["type"]


def test_a_rebuild_of_any_log_finds_the_same(tmp_path: Path) -> None:
    """Events of all kinds, one after the other: nothing is set aside but what takes an id a second time."""

    @settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(*map(drawn, codec.EVENTS.values())), max_size=12))
    def holds(events: list[Event]) -> None:
        log = stores.in_memory()
        for one in events:
            log.append(uuid.uuid4(), 0, [one])
        rows = Projections(SqliteBackend(tmp_path / f"{uuid.uuid4().hex}.sqlite"))
        while rows.advance(log):
            pass
        assert replay(log, rows, lambda _: None).differences == ()
        assert rows.position_now() == log.head()
        rows.close()

    holds()


def test_a_bus_in_the_process_carries_the_same() -> None:
    """`memory://`, as the embedded default has it."""
    bus = Bus("memory://", uuid.uuid4().hex)
    aside: list[int] = []
    seen: list[bytes] = []
    bus.publish = lambda *sent: seen.append(sent[1])  # type: ignore[method-assign]  # to look at
    publisher = BusPublisher(bus, lambda *one: aside.append(one[0]))

    @settings(max_examples=examples(30), suppress_health_check=list(HealthCheck))
    @given(st.one_of(*map(drawn, codec.EVENTS.values())))
    def holds(one: Event) -> None:
        log = stores.in_memory()
        stream = sign_stream("s") if isinstance(one, SignEvent) else node_stream("n")
        log.append(stream, 0, [one])
        publisher.publish(log.copy(0))
        assert cloudevent.parse(seen[-1]).event == one

    holds()
    assert aside == []
