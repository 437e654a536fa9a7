"""One node's queue takes nothing: all others go on, and that node is told everything as soon as it can be.

On a real broker: queues that others have to themselves, declared otherwise, full, deleted, or that hang.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from door import AUTHORITY as DOORS_AUTHORITY
from door import Door, Queues
from factories import NOON
from reporter import Reporter
from running import until

from sealward.commands.node_state import Node
from sealward.control.database import SqliteControl
from sealward.control.untold import Untold
from sealward.events import values
from sealward.events.base import Event, node_stream
from sealward.events.bus.amqp_queues import ARGUMENTS, AmqpQueues
from sealward.events.bus.connection import connect
from sealward.events.bus.inbox import LONGEST
from sealward.events.bus.message import Delivered
from sealward.events.bus.node_queues import Letter
from sealward.events.bus.permissions import user_of
from sealward.events.node import NodeActivated, NodeRegistered, NodeRemoved
from sealward.events.store import store as stores
from sealward.events.values import MOST_OF_HOSTNAME
from sealward.intake.registration.addresses import Addresses
from sealward.intake.telling import teller as tellers
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.backoff import Backoff
from sealward.intake.telling.reminders import Reminders
from sealward.intake.telling.teller import Teller
from sealward.intake.telling.voice import Voice
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend
from sealward.protocol import telling
from sealward.protocol.desired import Desired
from sealward.protocol.queues import inbox_of, queue_of
from stack.rabbitmq import RabbitMQ

AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
BAD, GOOD = "kvm-bad", "kvm-good"


class InMemory:
    """How far nodes were told."""

    def __init__(self) -> None:
        self.position = 0

    def load(self) -> int:
        """Return the position."""
        return self.position

    def keep(self, position: int) -> None:
        """Keep the position."""
        self.position = position


class Fleet:
    """Two nodes on a real broker, in a namespace of their own, and what tells them; `now` is in seconds."""

    def __init__(self, server: RabbitMQ, folder: Path) -> None:
        self.namespace = uuid.uuid4().hex
        self.server = server
        self.now = 0.0
        self.control = SqliteControl(folder / "control.sqlite")
        self.untold = Untold(self.control)
        self.store = stores.in_memory()
        self.place = InMemory()
        self.queues = [AmqpQueues(server.url, namespace=self.namespace) for _ in range(2)]
        self.connection = connect(server.url)
        voice = Voice(AUTHORITY)
        self.projections = Projections(SqliteBackend(Path(":memory:")))
        self.teller = Teller(
            self.store,
            self.queues[0],
            voice,
            kept=self.place,
            addresses=Addresses(self.projections, 0.0),
            untold=self.untold,
            backoff=Backoff(lambda: self.now),
        )
        self.reminders = Reminders(self.untold, self.queues[1], voice, backoff=Backoff(lambda: self.now))
        for number, hostname in enumerate((BAD, GOOD), 1):
            self.append(hostname, NodeRegistered(**self.about(number, hostname), public_key="PEM"))

    def about(self, node_id: int, hostname: str) -> dict[str, Any]:
        """Return what an event says of a node."""
        return {"timestamp": NOON, "actor": "system", "node_id": node_id, "hostname": hostname}

    def append(self, hostname: str, *events: Event) -> None:
        """Append to the stream of a node."""
        stream = node_stream(hostname)
        self.store.append(stream, len(self.store.read(stream)), events)

    def happens(self) -> int:
        """Have something happen to both nodes; return the position of the last event."""
        for number, hostname in enumerate((BAD, GOOD), 1):
            self.append(hostname, NodeActivated(**self.about(number, hostname)))
        return self.store.head()

    def name(self, hostname: str) -> str:
        """Return the name of a queue at the broker."""
        return f"{self.namespace}.{queue_of(hostname)}"

    def heard(self, hostname: str) -> list[telling.Message]:
        """Return what lies in a queue, and take it."""
        queue = kombu.Queue(self.name(hostname), channel=self.connection.default_channel)
        found = []
        while (message := queue.get(no_ack=True)) is not None:
            found.append(telling.unseal(bytes(message.body), hostname, [AUTHORITY.public_key()]).message)
        return found

    def close(self) -> None:
        """Close all connections."""
        for one in self.queues:
            one.close()
        self.connection.release()
        self.projections.close()
        self.control.close()


@pytest.fixture
def fleet(rabbitmq_server: RabbitMQ, tmp_path: Path) -> Iterator[Fleet]:
    """Yield two nodes; only the good one has its queue."""
    made = Fleet(rabbitmq_server, tmp_path)
    made.queues[0].open(queue_of(GOOD))
    yield made
    made.close()


def missing(fleet: Fleet) -> Callable[[], None]:
    """Leave the queue out."""
    del fleet
    return lambda: None


def exclusive(fleet: Fleet) -> Callable[[], None]:
    """Have another connection have the queue to itself, full: nobody else may declare, read or delete it."""
    squatter = connect(fleet.server.url)
    squatter.default_channel.queue_declare(
        fleet.name(BAD), exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
    )
    return lambda: squatter.release()  # noqa: PLW0108 - kombu has no types


def full(fleet: Fleet) -> Callable[[], None]:
    """Have the queue take nothing, declared as it must not be."""
    fleet.connection.default_channel.queue_declare(
        fleet.name(BAD),
        durable=True,
        auto_delete=False,
        arguments={"x-max-length": 0, "x-overflow": "reject-publish"},
    )
    return lambda: None


@pytest.mark.parametrize("harm", [missing, exclusive, full])
def test_a_queue_that_takes_nothing_holds_up_nobody(
    fleet: Fleet, harm: Callable[[Fleet], Callable[[], None]]
) -> None:
    """The others hear all of it, in order; that node is told to ask for everything once it can be told."""
    heal = harm(fleet)
    for _ in range(3):
        fleet.happens()
        fleet.teller.tell()
    position = fleet.store.head()

    assert [type(one) for one in fleet.heard(GOOD)] == [telling.Happened] * 4  # and that it is registered
    assert fleet.place.position == position
    assert set(fleet.untold.all()) == {BAD}
    heal()
    fleet.now += 3600
    fleet.reminders.remind()
    until(lambda: not fleet.untold.all(), 10)
    assert [one for one in fleet.heard(BAD) if isinstance(one, telling.Anew)] == [telling.Anew(position - 1)]
    fleet.now += 3600
    fleet.happens()
    fleet.teller.tell()
    assert [type(one) for one in fleet.heard(BAD)] == [telling.Happened]


def test_a_queue_that_another_holds_is_left_alone_for_longer_each_time(fleet: Fleet) -> None:
    """Nothing is kept for it but a position; it costs a try now and then."""
    heal = exclusive(fleet)
    fleet.happens()
    fleet.teller.tell()
    tried = 0
    for _ in range(300):
        fleet.now += 1
        before = fleet.reminders._backoff._failed.get(BAD)
        fleet.reminders.remind()
        tried += fleet.reminders._backoff._failed.get(BAD) != before
    heal()

    assert tried < 12
    assert fleet.untold.all() == {BAD: fleet.store.head() - 1}


def test_a_queue_that_hangs_holds_up_nobody(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It confirms nothing, as one whose host is down: for the others that costs one batch some seconds."""
    monkeypatch.setattr("sealward.events.bus.amqp_queues.CONFIRMED_WITHIN", 1.0)
    fleet.queues[0].open(queue_of(BAD))
    name = fleet.name(BAD)
    fleet.server.ctl(
        "eval",
        f'{{ok, Q}} = rabbit_amqqueue:lookup({{resource, <<"/">>, queue, <<"{name}">>}}), '
        "sys:suspend(amqqueue:get_pid(Q)).",
    )
    fleet.happens()
    fleet.teller.tell()
    began = time.monotonic()
    for _ in range(5):
        fleet.happens()
        fleet.teller.tell()
    seconds = time.monotonic() - began

    assert seconds < 1.0  # it is left alone meanwhile
    assert len(fleet.heard(GOOD)) == 7
    assert fleet.untold.all() == {BAD: fleet.store.head() - 1}


def test_a_full_queue_takes_no_more_and_says_so(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that reads nothing costs the broker so much and no more; nothing is dropped in silence."""
    monkeypatch.setitem(ARGUMENTS, "x-max-length", 5)
    fleet.queues[0].open(queue_of(BAD))
    failed = [
        bool(fleet.queues[0].put([Letter(queue_of(BAD), b"x"), Letter(queue_of(GOOD), b"x")]))
        for _ in range(8)
    ]

    assert failed == [False] * 5 + [True] * 3


def test_the_queue_of_a_removed_node_is_deleted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it had time to hear that; not when the node was let in again meanwhile."""
    monkeypatch.setattr(tellers, "REMOVED_FOR", 0.2)
    fleet.queues[0].open(queue_of(BAD))
    fleet.append(GOOD, NodeRemoved(**fleet.about(2, GOOD)))
    fleet.append(BAD, NodeRemoved(**fleet.about(1, BAD)))
    fleet.append(BAD, NodeRegistered(**fleet.about(3, BAD), public_key="PEM"))
    fleet.teller.tell()
    assert len(fleet.heard(GOOD)) == 2
    time.sleep(0.3)
    fleet.teller.tell()

    with pytest.raises(fleet.connection.channel_errors, match="NOT_FOUND"):
        fleet.connection.channel().queue_declare(fleet.name(GOOD), passive=True)
    fleet.connection.channel().queue_declare(fleet.name(BAD), passive=True)


class Hanging(Queues):
    """Queues of which nothing comes back until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def open(self, queue: str) -> None:
        """Hang."""
        del queue
        self.let_go.wait(30)


def test_who_takes_reports_waits_for_no_node() -> None:
    """Three hundred nodes register while the broker hangs: what they report is in the log at once."""
    door = Door(stores.in_memory())
    hanging = Hanging()
    answers = Answers(door._desire, hanging, Voice(AUTHORITY))
    door._intake._answers = answers
    answers.start()
    bodies = [Reporter(f"kvm{number}", number).registration() for number in range(1, 301)]
    began = time.monotonic()
    taken = door._intake.take([Delivered(one, {}) for one in bodies])
    seconds = time.monotonic() - began
    hanging.let_go.set()
    until(lambda: len(hanging.letters) == 300, 30)
    answers.stop()

    assert taken == [None] * 300
    assert seconds < 5.0


def test_a_node_that_asks_again_and_again_is_answered_once() -> None:
    """With the nonce that it asked with last: what waits for a node is never more than one answer."""
    door = Door(stores.in_memory())
    answers = Answers(door._desire, door.queues, Voice(DOORS_AUTHORITY))
    for number in range(50):
        answers.take({"kvm1": (Node(1, "kvm1", "PEM"), f"n-{number}")}, {})
    answers.work_off()

    (desired,) = door.said("kvm1")
    assert isinstance(desired, Desired)
    assert desired.answers == "n-49"


LIMIT = 1_000_000


@pytest.fixture
def small_messages(rabbitmq_server: RabbitMQ) -> Iterator[None]:
    """Have the broker take messages of a megabyte at most."""
    before = rabbitmq_server.ctl("eval", "rabbit_misc:get_env(rabbit, max_message_size, 134217728).").strip()
    rabbitmq_server.ctl("eval", f"application:set_env(rabbit, max_message_size, {LIMIT}).")
    yield
    rabbitmq_server.ctl("eval", f"application:set_env(rabbit, max_message_size, {before}).")


@pytest.mark.usefixtures("small_messages")
@pytest.mark.parametrize("order", [(BAD, GOOD), (GOOD, BAD), (BAD, GOOD, BAD)])
def test_a_letter_that_is_too_large_for_the_broker_holds_up_nobody(
    fleet: Fleet, order: tuple[str, ...]
) -> None:
    """A node whose servers were sealed with large evidence has an answer that the broker refuses."""
    queues = fleet.queues[0]
    for one in (BAD, GOOD):
        queues.open(queue_of(one))
    voice = Voice(AUTHORITY)
    bodies = {
        BAD: Letter(queue_of(BAD), b"x" * (LIMIT + 1)),
        GOOD: voice.letter(GOOD, telling.Anew(1)),
    }
    for _ in range(2):
        assert queues.put([bodies[one] for one in order]) == {queue_of(BAD)}
        assert telling.Anew(1) in fleet.heard(GOOD)


def test_a_node_that_can_have_no_queue_holds_up_nobody(fleet: Fleet) -> None:
    """A name of more than 255 bytes is none to AMQP."""
    voice = Voice(AUTHORITY)
    letters = [Letter("n" * 250, b"body"), voice.letter(GOOD, telling.Anew(1))]
    assert fleet.queues[0].put(letters) == {"n" * 250}
    assert fleet.heard(GOOD) == [telling.Anew(1)]


def test_every_hostname_has_a_queue_and_an_inbox() -> None:
    """Names of queues have 255 bytes at most; so have names of users."""
    longest = "a" * 63 + ".b" * ((MOST_OF_HOSTNAME - 63) // 2)
    longest += "c" * (MOST_OF_HOSTNAME - len(longest))
    values.checker(values.Hostname)(longest)
    named = [
        f"sealward.{queue_of(longest)}",
        f"sealward.{inbox_of(longest)}",
        user_of(longest),
    ]

    assert max(len(one) for one in named) == LONGEST
