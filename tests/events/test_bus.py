"""The bus in one process, and the relay that copies the log to it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from factories import event
from running import until

from sealward.events.bus.bus import Bus
from sealward.events.bus.relay import BusPublisher, FromNow, Relay
from sealward.events.node import NodeActivated
from sealward.events.store import store as stores
from sealward.events.wire import cloudevent


@pytest.fixture
def bus() -> Iterator[Bus]:
    """Yield a bus that nobody else hears."""
    made = Bus("memory://", uuid.uuid4().hex)
    yield made
    made.close()


def test_messages_come_in_the_order_they_were_sent(bus: Bus) -> None:
    """One queue, one reader, one order."""
    heard: list[bytes] = []
    consumer = bus.consumer("q", heard.append)
    for number in range(50):
        bus.send("q", b"%d" % number)
    consumer.start()
    until(lambda: len(heard) == 50)
    consumer.stop()

    assert heard == [b"%d" % number for number in range(50)]


def test_a_message_that_breaks_its_reader_is_dropped(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next one arrives."""
    heard: list[bytes] = []

    def read(body: bytes) -> None:
        if body == b"poison":
            raise ValueError(body)
        heard.append(body)

    consumer = bus.consumer("q", read)
    consumer.start()
    for body in (b"one", b"poison", b"two"):
        bus.send("q", body)
    until(lambda: len(heard) == 2)
    consumer.stop()

    assert heard == [b"one", b"two"]
    assert "dropped" in caplog.text


def test_namespaces_do_not_hear_each_other(bus: Bus) -> None:
    """`memory://` is one for the whole process."""
    heard: list[bytes] = []
    other = Bus("memory://", uuid.uuid4().hex)
    consumer = other.consumer("q", heard.append)
    consumer.start()
    bus.send("q", b"mine")
    other.send("q", b"theirs")
    until(lambda: bool(heard))
    consumer.stop()
    other.close()

    assert heard == [b"theirs"]


def test_the_relay_copies_the_log_in_order_and_once(bus: Bus) -> None:
    """With several writers, the bus has the order of the log; it leaves out events from before its start."""
    store = stores.in_memory()
    store.append(uuid.uuid4(), 0, [event(NodeActivated)])
    heard: list[int] = []

    def hear(routing_key: str, body: bytes) -> None:
        del routing_key
        heard.append(cloudevent.parse(body).position)

    bus.publish = hear  # type: ignore[method-assign]  # to hear what the relay publishes
    relay = Relay(store, BusPublisher(bus), FromNow(store))
    relay.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.append(uuid.uuid4(), 0, [event(NodeActivated)]), range(100)))
    until(lambda: len(heard) >= 100)
    relay.stop()

    assert heard == list(range(2, 102))
    assert not any(one.name == "relay" for one in threading.enumerate())
