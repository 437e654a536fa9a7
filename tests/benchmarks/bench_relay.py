"""The relay on PostgreSQL and RabbitMQ, all of it: read the log, render, publish, confirm, keep the place.

Against the same messages on the same exchange, each confirmed before the next is sent. As in service each
message goes to the stream; nobody reads.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import pika
from bounds import Bound, report
from factories import ONE_OF_EACH
from private import postgres_server, rabbitmq_server
from running import until

from sealward.control.database import ControlPosition
from sealward.control.postgres import PostgresControl
from sealward.events.bus.amqp import EXCHANGE, AmqpPublisher
from sealward.events.bus.relay import Relay
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.events.wire import cloudevent

EVENTS = 20_000
SINGLE = 1_500
ROUNDS = 3


def fill(store: EventStore) -> None:
    """Append events of all kinds."""
    for _ in range(EVENTS // 500):
        kinds = [ONE_OF_EACH[number % len(ONE_OF_EACH)] for number in range(500)]
        store.append(uuid.uuid4(), 0, kinds)


def relayed(store: EventStore, control: PostgresControl, url: str) -> float:
    """Return the messages a second of a relay that works off a backlog."""
    place = ControlPosition(control, f"relay-{uuid.uuid4()}")
    behind = store.head()
    fill(store)
    place.keep(behind)
    relay = Relay(store, AmqpPublisher(url), place)
    began = time.perf_counter()
    relay.start()
    until(lambda: place.load() >= behind + EVENTS, 120)
    seconds = time.perf_counter() - began
    relay.stop()
    return EVENTS / seconds


def confirmed_each(store: EventStore, url: str) -> float:
    """Return the messages a second of a publisher that waits for each confirm."""
    messages = [cloudevent.message(one) for one in store.copy(0, SINGLE)]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
    began = time.perf_counter()
    for one in messages:
        channel.basic_publish(EXCHANGE, one.routing_key, one.body, properties)
    seconds = time.perf_counter() - began
    connection.close()
    return len(messages) / seconds


def main() -> int:
    """Print both rates and their ratio; 1 when the relay is too slow."""
    with postgres_server() as postgres_, rabbitmq_server() as rabbitmq:
        store, control = postgres(postgres_.url()), PostgresControl(postgres_.url())
        relayed(store, control, rabbitmq.url)  # makes exchange and stream
        turns = [
            (relayed(store, control, rabbitmq.url), confirmed_each(store, rabbitmq.url))
            for _ in range(ROUNDS)
        ]
        control.close()
        store.close()
    ours, each = (statistics.median(turn[which] for turn in turns) for which in (0, 1))
    print(f"relay: {ours:,.0f} messages/s; each confirmed: {each:,.0f} messages/s")
    return report(
        Bound("relay, confirmed, against confirming each", ours / each, 8.0, "x"),
        Bound("relay, confirmed", ours, 12_000, "msg/s"),
    )


if __name__ == "__main__":
    sys.exit(main())
