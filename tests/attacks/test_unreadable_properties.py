"""What stands beside a message's body at the broker stops nobody who reads it.

RabbitMQ carries properties that no client library can read: texts that are not UTF-8, years that no calendar
has, tables within tables. A header of kombu's own has it unpack the body, whatever size that has then, and
amqp decodes the body by whatever codec of Python's the publisher names.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pika
import pika.data
import pytest
from running import until

from sealward.events.bus.amqp_queues import AmqpQueues
from sealward.events.bus.bus import Bus
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.message import Delivered
from stack.rabbitmq import RabbitMQ

PACKED = zlib.compress(bytes(256 * 1024 * 1024))
"""A quarter of a megabyte that becomes a thousand times as much."""


class Raw(pika.BasicProperties):  # type: ignore[misc]  # pika has no types
    """Properties of which the headers are bytes as they go over the wire."""

    def __init__(self, headers: bytes) -> None:
        super().__init__()
        self._headers = struct.pack(">I", len(headers)) + headers

    def encode(self) -> list[bytes]:
        """Return the flags, which say that there are headers, and the headers."""
        return [struct.pack(">H", 1 << 13), self._headers]


def header(kind: bytes, value: bytes) -> bytes:
    """Return one header, "h", of a type."""
    return b"\x01h" + kind + value


def nested(levels: int) -> bytes:
    """Return tables within tables."""
    inner = b""
    for _ in range(levels):
        inner = header(b"F", struct.pack(">I", len(inner)) + inner)
    return inner


UNREADABLE: dict[str, tuple[Any, bytes]] = {
    "content type": (pika.BasicProperties(content_type=b"\xff\xfe"), b"body"),
    "message id": (pika.BasicProperties(message_id=b"\xff\xfe"), b"body"),
    "no body": (pika.BasicProperties(content_type=b"\xff\xfe"), b""),
    "year 31690708": (Raw(header(b"T", struct.pack(">Q", 10**15))), b"body"),
    "year beyond all": (Raw(header(b"T", struct.pack(">Q", 2**62))), b"body"),
    "tables": (Raw(nested(3000)), b"body"),
    "packed, but not so": (pika.BasicProperties(headers={"compression": "zlib"}), b"body"),
    "packed nobody knows how": (pika.BasicProperties(headers={"compression": "sealward"}), b"body"),
    "packed by a table": (pika.BasicProperties(headers={"compression": {"a": "b"}}), b"body"),
    "encoded so that it takes hours": (
        pika.BasicProperties(content_encoding="punycode"),
        b"x-" + b"a" * 3_000_000,
    ),
    "half a character": (pika.BasicProperties(content_encoding="raw_unicode_escape"), rb"\ud800"),
    "another text": (pika.BasicProperties(content_encoding="utf-7"), b"+AGE-"),
    "no name of a codec": (pika.BasicProperties(content_encoding="..\x00/"), b"body"),
}


@pytest.fixture
def bus(rabbitmq_server: RabbitMQ) -> Iterator[Bus]:
    """Yield a bus of its own."""
    made = Bus(rabbitmq_server.url, uuid.uuid4().hex)
    yield made
    made.close()


@pytest.fixture
def put(rabbitmq_server: RabbitMQ) -> Iterator[Callable[[str, Any, bytes], None]]:
    """Give a function that puts a message into a queue with any properties."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_server.url))
    channel = connection.channel()
    channel.confirm_delivery()
    yield lambda queue, properties, body: channel.basic_publish("", queue, body, properties)
    connection.close()


@pytest.mark.parametrize("which", UNREADABLE)
def test_the_intake_goes_on(bus: Bus, put: Callable[[str, Any, bytes], None], which: str) -> None:
    """It is nobody's word, and what comes after it is heard."""
    seen: list[Delivered] = []

    def take(batch: Any) -> list[None]:  # noqa: ANN401 - as kombu gives it
        seen.extend(batch)
        return [None] * len(batch)

    consumer = bus.inbox_in_batches("reports", take)
    consumer.start()
    put(bus._queue("reports").name, *UNREADABLE[which])
    bus.submit("reports", b"good")
    until(lambda: b"good" in [one.body for one in seen], 10)
    consumer.stop()

    assert [(one.body, one.sender) for one in seen] == [(UNREADABLE[which][1], None), (b"good", bus.user)]


def test_every_depth_of_tables(bus: Bus, put: Callable[[str, Any, bytes], None]) -> None:
    """Also the depth at which one reader has just enough of Python's stack, and the next has not."""
    seen: list[bytes] = []
    consumer = bus.inbox("reports", seen.append)
    consumer.start()
    for levels in range(930, 1010):
        put(bus._queue("reports").name, Raw(nested(levels)), str(levels).encode())
    until(lambda: len(seen) == 80, 20)
    consumer.stop()


def test_nothing_is_unpacked(bus: Bus, put: Callable[[str, Any, bytes], None]) -> None:
    """A message takes of the reader's memory what the broker sent."""
    seen: list[bytes] = []
    consumer = bus.inbox("reports", seen.append)
    consumer.start()
    put(bus._queue("reports").name, pika.BasicProperties(headers={"compression": "zlib"}), PACKED)
    until(lambda: bool(seen), 10)
    consumer.stop()

    assert seen == [PACKED]


def test_an_agent_goes_on(
    rabbitmq_server: RabbitMQ, bus: Bus, put: Callable[[str, Any, bytes], None]
) -> None:
    """An attacker who can write to a node's queue ends none of its threads."""
    queues = AmqpQueues(rabbitmq_server.url, namespace=bus._namespace)
    queues.open("node.kvm1")
    queues.close()
    seen: list[bytes] = []
    consumer = bus.consumer("node.kvm1", seen.append)
    consumer.start()
    for properties, body in UNREADABLE.values():
        put(bus._queue("node.kvm1").name, properties, body)
    put(bus._queue("node.kvm1").name, pika.BasicProperties(), b"good")
    until(lambda: b"good" in seen, 10)
    consumer.stop()


def test_an_operator_sees_what_lies_with_the_dead_letters(
    rabbitmq_server: RabbitMQ, bus: Bus, put: Callable[[str, Any, bytes], None]
) -> None:
    """None of it is ours, and it can be dropped."""
    consumer = bus.inbox("reports", lambda _: None)
    consumer.start()
    until(lambda: bus._connection is not None, 10)
    consumer.stop()
    for properties, body in UNREADABLE.values():
        put(bus._queue("dead-letters").name, properties, body)
    with DeadLetters(rabbitmq_server.url, namespace=bus._namespace) as letters:
        assert [one.is_ours for one in letters.all()] == [False] * len(UNREADABLE)
        assert len(letters.drop(lambda _: True)) == len(UNREADABLE)


def test_a_reader_begins_anew_whatever_has_ended_it(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw ends no thread."""
    seen: list[bytes] = []
    consumer = bus.inbox("reports", seen.append)
    receive, broken = consumer._receive, [LookupError("unforeseen")]

    def once() -> None:
        if broken:
            raise broken.pop()
        receive()

    monkeypatch.setattr(consumer, "_receive", once)
    consumer.start()
    until(lambda: not broken, 10)
    bus.submit("reports", b"good")
    until(lambda: seen == [b"good"], 10)
    consumer.stop()


KEYS = (b"\xff\xfe", b"\xed\xa0\x80", b"", b"k" * 255)


@pytest.fixture
def send(rabbitmq_server: RabbitMQ, bus: Bus) -> Iterator[Callable[[str, bytes], None]]:
    """Give what brings a message with any routing key to an inbox, by RabbitMQ's header `CC`."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_server.url))
    channel = connection.channel()
    channel.confirm_delivery()

    def publish(inbox: str, key: bytes) -> None:
        name = bus._queue(inbox).name
        properties = pika.BasicProperties(headers={"CC": [name]})
        channel.basic_publish(name, key, b"body", properties, mandatory=True)

    yield publish
    connection.close()


@pytest.mark.parametrize("key", KEYS)
def test_a_routing_key_that_is_no_text(bus: Bus, send: Callable[[str, bytes], None], key: bytes) -> None:
    """The message is read like any other, and so is what comes after it."""
    seen: list[bytes] = []
    consumer = bus.inbox("reports", seen.append)
    consumer.start()
    send("reports", key)
    bus.submit("reports", b"good")
    until(lambda: b"good" in seen, 10)
    consumer.stop()

    assert seen == [b"body", b"good"]


def test_an_operator_sees_letters_with_any_routing_key(
    rabbitmq_server: RabbitMQ, bus: Bus, send: Callable[[str, bytes], None]
) -> None:
    """Also where messages are asked for one by one."""
    consumer = bus.inbox("reports", lambda _: None)
    consumer.start()
    consumer.stop()
    for key in KEYS:
        send("dead-letters", key)
    with DeadLetters(rabbitmq_server.url, namespace=bus._namespace) as letters:
        assert [one.body for one in letters.all()] == [b"body"] * len(KEYS)
