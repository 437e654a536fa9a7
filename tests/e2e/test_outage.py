"""The broker is away for as long as an hour: the rest goes on, nothing is lost, and the backlog drains."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import amounts
import pika
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from running import BATCH, DATABASE, WEB, until
from storm import Subscriber
from topology import topology

from sealward.commands.context import RequestContext
from sealward.commands.messages import RecordSweep, RegisterNode
from sealward.commands.writer.handler import Handler
from sealward.commands.writer.unit_of_work import UnitOfWork
from sealward.control.database import ControlPosition
from sealward.control.postgres import PostgresControl
from sealward.events.base import utc_now
from sealward.events.bus.amqp import STREAM
from sealward.events.signing import keys
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.events.wire import cloudevent
from sealward.protocol.reports import Sweep
from stack.sealward import Stack

NODES = 340
MINUTES = 60 if amounts.EVERYTHING else 11
"""An hour in which each of so many nodes sweeps once a minute: 20,400 events. By default it is shorter."""
HEALED = 60.0
BRISK = {"SEALWARD_WAIT": "0.5", "SEALWARD_SWEEP_INTERVAL": "5"}


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Yield a topology of its own, whose node has reported its servers: this fleet is too large to share."""
    with topology(BRISK) as made:
        yield made


@pytest.fixture
def store(stack: Stack) -> Iterator[EventStore]:
    """Yield the log."""
    made = postgres(stack.postgres.url())
    yield made
    made.close()


class Hour:
    """An hour of a large fleet in some seconds: its nodes speak to the one writer itself."""

    def __init__(self, store: EventStore) -> None:
        self._handler = Handler(store, None, clock=utc_now, fresh_for=timedelta(minutes=15))
        self._names = [f"kvm-{number:03}" for number in range(NODES)]

    def register(self) -> None:
        """Make the nodes known."""
        pem = keys.public_pem(Ed25519PrivateKey.generate().public_key())

        def all_of_them(batch: UnitOfWork) -> None:
            for name in self._names:
                batch.handle(
                    RegisterNode(context=RequestContext(actor=f"node:{name}"), hostname=name, public_key=pem)
                )

        self._handler.together(all_of_them)

    def minute(self) -> None:
        """Let each node sweep once."""
        moment = utc_now()

        def all_of_them(batch: UnitOfWork) -> None:
            for name in self._names:
                batch.handle(
                    RecordSweep(
                        context=RequestContext(actor=f"node:{name}"),
                        hostname=name,
                        report=Sweep(
                            hostname=name,
                            cause="sweep",
                            started_at=moment,
                            vouched="1-50",
                            withheld=(),
                            counts={"true": 50, "false": 0, "unknown": 0, "unsigned": 0},
                            digest="ab" * 32,
                        ),
                    )
                )

        self._handler.together(all_of_them)


@pytest.fixture
def subscriber(stack: Stack) -> Iterator[Subscriber]:
    """Yield an outside system that listens to everything, through the outage."""
    made = Subscriber(stack.rabbitmq.url)
    made.start()
    yield made
    made.stop()


def test_an_hour_without_the_broker(stack: Stack, store: EventStore, subscriber: Subscriber) -> None:
    """Reads and orders go on; then all that happened arrives, in order, and what was ordered is done."""
    hour = Hour(store)
    for server_id in (WEB, DATABASE):
        assert stack.ask("POST", "/v1/sign", {"server_id": server_id})[0] == 201
    before = store.head()
    stack.rabbitmq.stop()

    tasks = outage(stack, hour)
    behind = store.head()
    assert behind - before > NODES * MINUTES
    stack.rabbitmq.start()
    drained(stack, behind - before, behind)

    until(lambda: max(subscriber.positions[-1:], default=0) >= behind, HEALED)
    logged = list(range(before + 1, behind + 1))
    assert [one.position for one in store.follow(before, len(logged))] == logged
    for arrived in (subscriber.positions, streamed(stack, behind)):
        assert list(dict.fromkeys(one for one in arrived if before < one <= behind)) == logged
    healed(stack, tasks)


def outage(stack: Stack, hour: Hour) -> list[str]:
    """Let the hour go by, with orders of administrators in it; return the ids of their tasks."""
    hour.register()
    tasks = []
    for minute in range(MINUTES):
        hour.minute()
        if minute % 10 == 0:
            tasks.append(ordered(stack, "deactivate" if minute % 20 else "activate"))
    assert stack.ask("POST", "/v1/sign", {"server_id": BATCH})[0] == 201
    assert stack.ask("PUT", "/v1/sign", {"server_id": WEB}, api="api-2")[0] == 200
    return [*tasks, ordered(stack, "activate")]


def drained(stack: Stack, count: int, behind: int) -> None:
    """Wait until the relay has come to a position, and print how fast it was."""
    control = PostgresControl(stack.postgres.url())
    place = ControlPosition(control, "relay")
    first, began = place.load(), time.monotonic()
    until(lambda: place.load() > first, HEALED)  # it has found the broker
    connected = time.monotonic()
    until(lambda: place.load() >= behind, HEALED)
    seconds = time.monotonic() - connected
    control.close()
    print(
        f"{count} events: the relay was there {connected - began:.1f} s after the broker "
        f"and drained {count / seconds:,.0f} events/s"
    )


def streamed(stack: Stack, behind: int) -> list[int]:
    """Return the positions of all that the stream holds, up to one."""
    positions: list[int] = []
    connection = pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=500)
    for method, _, body in channel.consume(
        STREAM, arguments={"x-stream-offset": "first"}, inactivity_timeout=30
    ):
        assert method is not None, "the stream ended too early"
        positions.append(cloudevent.parse(body).position)
        channel.basic_ack(method.delivery_tag)
        if positions[-1] >= behind:
            break
    with contextlib.suppress(pika.exceptions.AMQPError):
        connection.close()  # pika nacks what it holds, which streams refuse (540): the connection is gone
    return positions


def healed(stack: Stack, tasks: list[str]) -> None:
    """Wait until every order was carried out, or a later one took its place."""
    until(lambda: {task(stack, one) for one in tasks} <= {"SUCCESS", "REVOKED"}, HEALED)
    assert task(stack, tasks[-1]) == "SUCCESS"
    until(lambda: verdict(stack, BATCH) == ("true", 1), HEALED)
    until(lambda: verdict(stack, WEB) == ("true", 2), HEALED)


def task(stack: Stack, task_id: str) -> str:
    """Return the state of a task."""
    return str(stack.ask("GET", f"/v1/task/{task_id}")[1]["task"]["state"])


def verdict(stack: Stack, server_id: str) -> tuple[str, int]:
    """Return what GET says, and of which generation."""
    known: dict[str, Any] = stack.ask("GET", f"/v1/sign/{server_id}/verdict")[1]["verdict"]
    return known["is_valid"], known["generation"]


def ordered(stack: Stack, action: str) -> str:
    """Give an order, and read what there is to read; all of it is answered."""
    status, answer = stack.ask("POST", "/v1/sign/node/1/action", {"action": action})
    assert (status, answer["success"]) == (200, True)
    for api in ("api-1", "api-2"):
        for path in ("/v1/sign", f"/v1/sign/{WEB}", f"/v1/sign/{WEB}/verdict", "/v1/node/1"):
            assert stack.ask("GET", path, api=api)[0] == 200
    return str(answer["task_id"])
