"""One contract for every bus: what has arrived is worked on together, in order, and nothing is lost."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from running import until

from sealward.events.bus import bus as buses
from sealward.events.bus import consumer as consuming
from sealward.events.bus.bus import Bus
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.message import Delivered, Later, Poison
from stack.rabbitmq import RabbitMQ

INBOX = "reports"
OnBatch = Callable[[Sequence[Delivered]], Sequence[Poison | None]]


def _memory(request: pytest.FixtureRequest) -> str:
    del request
    return "memory://"


def _rabbitmq(request: pytest.FixtureRequest) -> str:
    server: RabbitMQ = request.getfixturevalue("rabbitmq_server")
    return server.url


@pytest.fixture(
    params=[_memory, pytest.param(_rabbitmq, marks=pytest.mark.heavy)], ids=["memory", "rabbitmq"]
)
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a bus."""
    found: str = request.param(request)
    return found


@pytest.fixture
def bus(url: str) -> Iterator[Bus]:
    """Yield a bus of its own, whose inbox exists."""
    made = Bus(url, uuid.uuid4().hex)
    opened = made.inbox_in_batches(INBOX, lambda batch: [None] * len(batch))
    opened.start()
    opened.stop()
    yield made
    made.close()


def bodies(batch: Sequence[Delivered]) -> list[bytes]:
    """Return what the messages say."""
    return [one.body for one in batch]


def test_what_has_arrived_comes_as_one_batch(bus: Bus) -> None:
    """In the order in which it was sent; what comes meanwhile is the next batch."""
    batches: list[list[bytes]] = []
    inside, go_on = threading.Event(), threading.Event()

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        batches.append(bodies(batch))
        inside.set()
        go_on.wait(10)
        return [None] * len(batch)

    consumer = bus.inbox_in_batches(INBOX, read)
    consumer.start()
    bus.submit(INBOX, b"0")
    assert inside.wait(10)
    for number in range(1, 100):
        bus.submit(INBOX, b"%d" % number)
    go_on.set()
    until(lambda: sum(map(len, batches)) == 100, 15)
    consumer.stop()

    assert [one for batch in batches for one in batch] == [b"%d" % number for number in range(100)]
    assert batches[0] == [b"0"]
    assert len(batches) < 20


def test_no_more_than_so_many_are_held_at_once(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond stays with the broker."""
    monkeypatch.setattr(buses, "BATCH", 7)
    batches: list[list[bytes]] = []

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        batches.append(bodies(batch))
        return [None] * len(batch)

    for number in range(50):
        bus.submit(INBOX, b"%d" % number)
    consumer = bus.inbox_in_batches(INBOX, read)
    consumer.start()
    until(lambda: sum(map(len, batches)) == 50, 15)
    consumer.stop()

    assert max(map(len, batches)) <= 7
    assert [one for batch in batches for one in batch] == [b"%d" % number for number in range(50)]


def test_poison_hurts_none_of_its_batch(bus: Bus, url: str) -> None:
    """It lies with the dead letters, where there are any; the others never come again."""
    seen: list[bytes] = []

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        seen.extend(bodies(batch))
        return [Poison("report.malformed", "3") if one.body == b"3" else None for one in batch]

    for number in range(6):
        bus.submit(INBOX, b"%d" % number)
    for _ in range(2):  # the second reader finds nothing left
        consumer = bus.inbox_in_batches(INBOX, read)
        consumer.start()
        until(lambda: len(seen) >= 6, 15)
        consumer.stop()

    assert seen == [b"%d" % number for number in range(6)]
    if not url.startswith("memory"):
        with DeadLetters(url, namespace=bus._namespace) as dead:
            assert [(one.reason, one.body) for one in dead.all()] == [("report.malformed", b"3")]


def test_what_breaks_its_reader_hurts_none_of_its_batch(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """The messages are handed over one by one then, and only the one that breaks it is dropped."""
    done: list[bytes] = []

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        if b"broken" in bodies(batch):
            raise ValueError
        done.extend(bodies(batch))
        return [None] * len(batch)

    for body in (b"one", b"broken", b"two"):
        bus.submit(INBOX, body)
    consumer = bus.inbox_in_batches(INBOX, read)
    consumer.start()
    until(lambda: len(done) == 2, 15)
    consumer.stop()

    assert done == [b"one", b"two"]
    assert caplog.text.count("reader-broken") >= 1


def test_what_cannot_be_worked_on_now_comes_again_whole_and_in_order(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the batch is acknowledged, and what came meanwhile is behind it."""
    monkeypatch.setattr(consuming, "PAUSE", 0.05)
    tries: list[list[bytes]] = []
    away = threading.Event()
    away.set()

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        tries.append(bodies(batch))
        if away.is_set():
            raise Later("the store is away")
        return [None] * len(batch)

    for number in range(5):
        bus.submit(INBOX, b"%d" % number)
    consumer = bus.inbox_in_batches(INBOX, read)
    consumer.start()
    until(lambda: len(tries) >= 3, 15)
    bus.submit(INBOX, b"5")
    away.clear()
    expected = [b"%d" % number for number in range(6)]
    until(lambda: b"5" in tries[-1], 15)
    consumer.stop()

    taken = tries[-1] if len(tries[-1]) == 6 else [*tries[-2], *tries[-1]]
    assert taken == expected
    assert all(one == expected[: len(one)] for one in tries[:-2])


def test_what_a_reader_could_not_work_on_is_there_for_the_next(rabbitmq_server: RabbitMQ) -> None:
    """A reader that ends while the store is away has taken nothing away, and order is kept."""
    bus = Bus(rabbitmq_server.url, uuid.uuid4().hex)
    seen: list[bytes] = []

    def fail(batch: Sequence[Delivered]) -> list[Poison | None]:
        seen.extend(bodies(batch))
        raise Later("the store is away")

    def read(batch: Sequence[Delivered]) -> list[Poison | None]:
        seen.extend(bodies(batch))
        return [None] * len(batch)

    first = bus.inbox_in_batches(INBOX, fail)
    first.start()
    for number in range(3):
        bus.submit(INBOX, b"%d" % number)
    until(lambda: b"2" in seen, 15)
    first.stop()
    seen.clear()
    second = bus.inbox_in_batches(INBOX, read)
    second.start()
    until(lambda: len(seen) == 3, 15)
    second.stop()
    bus.close()

    assert seen == [b"0", b"1", b"2"]


def test_one_reader_at_a_time(rabbitmq_server: RabbitMQ) -> None:
    """Of two, one gets everything, so that no report of a node overtakes another; then the other does."""
    bus = Bus(rabbitmq_server.url, uuid.uuid4().hex)
    seen: list[tuple[int, bytes]] = []

    def reader(number: int) -> OnBatch:
        def read(batch: Sequence[Delivered]) -> list[Poison | None]:
            seen.extend((number, one.body) for one in batch)
            return [None] * len(batch)

        return read

    consumers = [bus.inbox_in_batches(INBOX, reader(number)) for number in range(2)]
    for one in consumers:
        one.start()
    for number in range(40):
        bus.submit(INBOX, b"%d" % number)
    until(lambda: len(seen) == 40, 15)
    active = seen[0][0]
    consumers[active].stop()
    bus.submit(INBOX, b"after")
    until(lambda: len(seen) == 41, 15)
    consumers[1 - active].stop()
    bus.close()

    assert [number for number, _ in seen] == [active] * 40 + [1 - active]
