"""A log that hostile nodes wrote before values had types: the upgrade alone brings the control plane back.

`tests/assets/logs/poisoned.jsonl` was written by the intake of Sealward as it was then. Honest events stand
before, between and behind those that PostgreSQL or AMQP cannot carry.
"""

from __future__ import annotations

import base64
import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import falcon.testing
import kombu
import pytest
from door import NOW, SERVERS, Door
from eventsourcing.persistence import StoredEvent
from programs import sealward
from reporter import Reporter
from running import until

from sealward.control_plane import Core, Worker
from sealward.events import values
from sealward.events.base import Recorded
from sealward.events.bus.amqp import EXCHANGE
from sealward.events.bus.bus import Bus
from sealward.events.bus.connection import connect
from sealward.events.is_valid import IsValid
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore, sqlite
from sealward.events.wire import codec
from sealward.projections.store.backend import Backend
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.projections.store.replay import replay
from sealward.projections.store.sqlite import SqliteBackend
from sealward.settings import Settings
from stack.rabbitmq import RabbitMQ

LOG = Path(__file__).parent.parent / "assets" / "logs" / "poisoned.jsonl"
TOKEN = "t" * 32
HEADERS = {"X-Auth-Token": TOKEN}


def fill(store: EventStore) -> None:
    """Put the log into a store, byte for byte, as an older version has written it."""
    lines = [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]
    store._log.insert_events(
        [
            StoredEvent(
                uuid.UUID(one["stream"]), one["version"], one["topic"], base64.b64decode(one["state"])
            )
            for one in lines
        ]
    )
    for name in ("node", "sign"):
        for _ in range(3):
            store.next_id(name)


def unfit(store: EventStore) -> set[int]:
    """Return the positions of events that could not be appended today."""
    found = set()
    for one in store.follow(0):
        try:
            values.check(one.event)
        except values.Unfit:
            found.add(one.position)
    return found


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path, store: EventStore) -> Iterator[Backend]:
    """Yield empty rows beside a store: in PostgreSQL where the log is there."""
    del store
    is_postgres = "postgres" in request.node.callspec.id
    made: Backend = SqliteBackend(tmp_path / "rows")
    if is_postgres:
        made = PostgresBackend(request.getfixturevalue("database"))
    yield made
    made.close()


@pytest.mark.parametrize("batch", [1, 7, 5000])
def test_projections_go_on_beyond_what_they_cannot_take(
    store: EventStore, backend: Backend, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of any size: honest events count, others are set aside, and a rebuild finds the same."""
    monkeypatch.setattr("sealward.projections.store.database.BATCH", batch)
    fill(store)
    projections = Projections(backend)
    while projections.advance(store):
        pass
    with projections.reading() as tables:
        aside = {one.position for one in projections.set_aside.all(tables)}
        true, false = (projections.signs.one(tables, one) for one in SERVERS[:2])
        hostnames = [one.hostname for one in projections.nodes.all(tables)]
    replayed = replay(store, projections, lambda _: None)

    assert projections.position_now() == store.head() == 34
    assert aside <= unfit(store)
    assert true is not None
    assert false is not None
    assert true.verdict_at(NOW + timedelta(minutes=6)).is_valid is IsValid.TRUE
    assert false.verdict_at(NOW + timedelta(minutes=6)).is_valid is IsValid.FALSE
    assert {"kvm1", "kvm3"} <= set(hostnames)
    assert replayed.differences == ()
    if isinstance(backend, PostgresBackend):
        assert {10, 14, 16, 18} <= aside


def test_the_intake_decides_over_such_streams(store: EventStore) -> None:
    """A poisoned node is one node; others report, and an administrator's commands are carried out."""
    fill(store)
    door = Door(store)
    newcomer = Reporter("kvm9", 4)

    assert door.take(newcomer.registration(), newcomer.inventory(str(uuid.UUID(int=99)))) == [None, None]
    assert door.handler.handle(newcomer.order(str(uuid.UUID(int=99)))) == store.head()


def test_an_unreadable_stream_affects_itself_alone(store: EventStore) -> None:
    """Nothing is decided on it, by a code of its own; its neighbours in the same batch are."""
    door = Door(store)
    one, other = Reporter("kvm1", 1), Reporter("kvm2", 2)
    assert door.take(one.registration(), other.registration()) == [None, None]
    stored = store.copy(0)[0]
    store._log.insert_events([StoredEvent(stored.stream, 2, "node.activated", b'{"version":1}')])
    fresh = Door(store)

    answers = fresh.take(one.inventory(SERVERS[0]), other.inventory(SERVERS[1]))
    assert answers == ["event.unreadable", None]


def settings(folder: Path, database: str, broker: str) -> Settings:
    """Return what a control plane over real servers needs."""
    return replace(
        Settings(), data_dir=folder, database_url=database, broker_url=broker, admin_token=TOKEN, wait=2.0
    )


def test_the_control_plane_comes_back_by_the_upgrade_alone(
    tmp_path: Path, database: str, rabbitmq_server: RabbitMQ
) -> None:
    """On PostgreSQL and RabbitMQ: rows, relay, orders, health; the command line shows and retries."""
    store = postgres(database)
    fill(store)
    store.close()
    where = settings(tmp_path, database, rabbitmq_server.url)
    core = Core(where)
    bus = Bus(rabbitmq_server.url, "sealward")
    heard: list[int] = []
    with connect(rabbitmq_server.url) as listening:
        every = kombu.Exchange(EXCHANGE, "topic", durable=True)
        queue = kombu.Queue("", every, routing_key="#", exclusive=True)
        consumer = kombu.Consumer(listening, [queue], no_ack=True)
        consumer.register_callback(lambda _, one: heard.append(one.headers["position"]))
        with consumer:
            worker = Worker(core, where, bus)
            worker.start()
            try:
                deadline = time.monotonic() + 30
                while 34 not in heard and time.monotonic() < deadline:
                    _drain(listening)
                until(lambda: core.projections.position_now() >= 34, 30)
                _answers(core)
            finally:
                worker.stop()
                core.close()
                bus.close()

    assert 30 not in heard  # a task id of 300 characters
    assert 31 not in heard  # of 155 emoji
    assert {9, 27, 29, 33, 34} <= set(heard)
    env = {"SEALWARD_DATABASE_URL": database, "SEALWARD_BROKER_URL": rabbitmq_server.url}
    listed = sealward(tmp_path, "events", "set-aside", "list", **env)
    shown = sealward(tmp_path, "events", "set-aside", "show", "10", **env)
    retried = sealward(tmp_path, "events", "set-aside", "retry", **env)
    assert listed.returncode == 0
    assert {(int(line.split()[0]), line.split()[1]) for line in listed.stdout.splitlines()} >= {
        (10, "projections"),
        (30, "relay"),
        (31, "relay"),
    }
    assert shown.returncode == 0
    assert "\0" not in shown.stdout
    assert "ev\\u0000il" in shown.stdout
    assert retried.returncode == 1, retried.stderr
    assert " were taken" in retried.stdout


def _drain(listening: kombu.Connection) -> None:
    with contextlib.suppress(TimeoutError):
        listening.drain_events(timeout=0.2)


def _answers(core: Core) -> None:
    client = falcon.testing.TestClient(core.app)
    until(lambda: client.simulate_get(f"/v1/sign/{SERVERS[0]}", headers=HEADERS).status_code == 200, 10)
    signed = client.simulate_get(f"/v1/sign/{SERVERS[2]}", headers=HEADERS)
    again = client.simulate_post("/v1/sign", headers=HEADERS, json={"server_id": SERVERS[0]})
    health = client.simulate_get("/healthcheck", params={"detailed": "true"}, headers=HEADERS).json
    metrics = client.simulate_get("/metrics", headers=HEADERS).text

    assert signed.status_code == 200
    assert (again.status_code, again.json["error"]["reason"]) == (409, "sign.exists")
    assert "events.set-aside" in health["problems"]
    assert {one["position"] for one in health["set_aside"]} >= {10, 14, 16, 18}
    assert "sealward_set_aside_events" in metrics


def test_a_log_on_sqlite_reads_and_answers(tmp_path: Path) -> None:
    """SQLite takes such texts: they stand in the rows, and JSON shows them escaped."""
    store = sqlite(tmp_path / "log.sqlite")
    fill(store)
    store.close()
    core = Core(replace(Settings(), data_dir=tmp_path, admin_token=TOKEN))
    try:
        while core.projections.advance(core.store):
            pass
        client = falcon.testing.TestClient(core.app)
        nodes = client.simulate_get("/v1/node", headers=HEADERS)
        servers = client.simulate_get("/v1/server", headers=HEADERS)
        events = client.simulate_get(f"/v1/sign/{SERVERS[1]}/events", headers=HEADERS)
    finally:
        core.close()

    assert (nodes.status_code, servers.status_code, events.status_code) == (200, 200, 200)
    assert "ev\\u0000il" in nodes.text
    assert "\0" not in nodes.text + servers.text


def test_what_a_newer_version_wrote_stops_a_part_and_sets_nothing_aside(
    store: EventStore, backend: Backend
) -> None:
    """It is no poison: an upgrade of this process takes it."""
    fill(store)
    state = b'{"version":99,"timestamp":"2026-01-02T12:00:00Z"}'
    store._log.insert_events([StoredEvent(uuid.uuid4(), 1, "node.activated", state)])
    projections = Projections(backend)

    with pytest.raises(codec.EventFromNewerVersion, match="known up to"):
        list(projections.catch_up(store))
    with pytest.raises(codec.EventFromNewerVersion, match="known up to"):
        projections.advance(store)
    assert not [one for one in store.entries(34 - 1, 1) if not isinstance(one, Recorded)]
