"""Inboxes on a real RabbitMQ: read in turns by one process, bounded, made and deleted with their hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from running import until

from sealward.events.bus.bus import Bus
from sealward.events.bus.connection import BusUnavailable, InboxClosed, connect
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.inbox import OF_ONE_USER, PREFETCH, Inbox
from sealward.events.bus.inboxes import Inboxes
from sealward.events.bus.message import Delivered, Poison
from sealward.events.store.leader import Alone
from stack.rabbitmq import RabbitMQ

SHARED = Inbox("reports")
ONE, OTHER = Inbox("reports.one", "node.one"), Inbox("reports.other", "node.other")


class Reader:
    """Takes what is delivered; says of whom no more is to be read."""

    def __init__(self) -> None:
        self.which = [SHARED, ONE, OTHER]
        self.batches: list[list[Delivered]] = []
        self.rests: dict[str, float] = {}

    def take(self, batch: Sequence[Delivered]) -> list[Poison | None]:
        """Keep a batch."""
        self.batches.append(list(batch))
        return [Poison("report.malformed", "bad") if one.body == b"bad" else None for one in batch]

    def rest(self, user: str) -> float:
        """Return for how long a user is not read."""
        return self.rests.get(user, 0.0)

    @property
    def bodies(self) -> list[bytes]:
        """Return all that was taken, in order."""
        return [one.body for batch in self.batches for one in batch]

    def of(self, user: str | None) -> list[bytes]:
        """Return what came by the inbox of a user."""
        return [one.body for batch in self.batches for one in batch if one.inbox == user]


class Lead:
    """A lead that can be taken away."""

    def __init__(self, *, is_held: bool) -> None:
        self.is_held = is_held

    def holds(self) -> bool:
        """Say whether this process leads."""
        return self.is_held

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def start(bus: Bus) -> Iterator[Callable[..., Inboxes]]:
    """Yield what has a process read."""
    started: list[Inboxes] = []

    def begin(reader: Reader, leader: Lead | Alone | None = None) -> Inboxes:
        made = Inboxes(
            bus, reader.take, which=lambda: reader.which, rest=reader.rest, leader=leader or Alone()
        )
        made.start()
        started.append(made)
        return made

    yield begin
    for one in started:
        one.stop()


def is_open(bus: Bus, inbox: Inbox) -> bool:
    """Say whether an inbox takes a message; then it has taken one."""
    try:
        bus.submit(inbox.name, b"is it open?")
    except InboxClosed:
        return False
    return True


def fill(bus: Bus, inbox: Inbox, number: int) -> None:
    """Put many messages into an inbox."""
    for count in range(number):
        bus.submit(inbox.name, f"{inbox.name} {count}".encode())


def test_a_full_inbox_holds_up_no_other(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """A few messages of each inbox are processed together, in their order; the others wait."""
    reader = Reader()
    first = start(reader)
    until(lambda: is_open(bus, OTHER), 20)
    first.stop()
    fill(bus, ONE, 20 * PREFETCH)
    fill(bus, OTHER, 1)
    reader.batches.clear()
    start(reader)
    until(lambda: len(reader.of(ONE.user)) == 20 * PREFETCH, 20)

    assert max(len([one for one in batch if one.inbox == ONE.user]) for batch in reader.batches) <= PREFETCH
    before = reader.bodies.index(b"reports.other 0")
    assert before <= 2 * PREFETCH
    assert reader.of(ONE.user) == [f"reports.one {count}".encode() for count in range(20 * PREFETCH)]


def test_who_is_in_debt_is_not_read(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """The others are; what waits comes in its order when the debt is paid, and nothing is lost."""
    reader = Reader()
    start(reader)
    until(lambda: is_open(bus, OTHER), 20)
    reader.rests["node.one"] = 1.0
    fill(bus, ONE, 30)
    fill(bus, OTHER, 30)
    until(lambda: b"reports.other 29" in reader.bodies, 20)
    waiting = reader.of(ONE.user)
    assert len(waiting) <= 2 * PREFETCH
    reader.rests.clear()
    until(lambda: len(reader.of(ONE.user)) == 30, 20)
    assert reader.of(ONE.user) == [f"reports.one {count}".encode() for count in range(30)]


def test_inboxes_come_and_go_with_their_hosts(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """One that nobody writes to any more is deleted; then nobody can."""
    reader = Reader()
    reader.which = [SHARED]
    start(reader)
    until(lambda: is_open(bus, SHARED), 20)
    assert not is_open(bus, ONE)
    reader.which = [SHARED, ONE]
    until(lambda: is_open(bus, ONE), 20)
    reader.which = [SHARED, OTHER]
    until(lambda: not is_open(bus, ONE), 20)
    until(lambda: is_open(bus, OTHER), 20)
    reader.which = [SHARED, ONE]
    until(lambda: is_open(bus, ONE), 20)


def test_another_takes_over(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """Of two processes one reads; when it ends the other goes on where it was."""
    first, second, lead = Reader(), Reader(), Lead(is_held=False)
    leading = start(first)
    start(second, lead)
    until(lambda: is_open(bus, ONE), 20)
    fill(bus, ONE, 5)
    until(lambda: len(first.bodies) == 6, 20)
    leading.stop()
    fill(bus, ONE, 5)
    assert second.bodies == []
    lead.is_held = True
    until(lambda: len(second.bodies) == 5, 20)


def test_a_process_that_leads_no_longer_lets_go(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """After a while; until then the next one gets nothing, so nothing is overtaken."""
    first, second = Reader(), Reader()
    lead, next_lead = Lead(is_held=True), Lead(is_held=False)
    start(first, lead)
    start(second, next_lead)
    until(lambda: is_open(bus, ONE), 20)
    lead.is_held, next_lead.is_held = False, True
    until(lambda: is_open(bus, ONE) and bool(second.bodies), 30)
    count = len(first.bodies)
    fill(bus, ONE, 20)
    until(lambda: b"reports.one 19" in second.bodies, 20)
    assert len(first.bodies) == count


def test_what_was_deleted_or_declared_otherwise_is_made_anew(
    rabbitmq_server: RabbitMQ, bus: Bus, namespace: str, start: Callable[..., Inboxes]
) -> None:
    """By hand, or by another version."""
    name = f"{namespace}.{ONE.name}"
    with connect(rabbitmq_server.url) as connection:
        connection.channel().queue_declare(
            name, durable=True, auto_delete=False, arguments={"x-expires": 60_000}
        )
        reader = Reader()
        start(reader)
        until(lambda: is_open(bus, ONE), 20)
        until(lambda: bool(reader.of(ONE.user)), 20)
        connection.channel().queue_delete(name)
        reader.batches.clear()
        until(lambda: is_open(bus, ONE) and bool(reader.of(ONE.user)), 20)
        connection.channel().queue_declare(name, durable=True, auto_delete=False, arguments=OF_ONE_USER)


def test_an_inbox_that_the_broker_refuses_holds_up_no_other(
    rabbitmq_server: RabbitMQ, bus: Bus, namespace: str, start: Callable[..., Inboxes]
) -> None:
    """Another connection has the queue to itself."""
    reader = Reader()
    with connect(rabbitmq_server.url) as connection:
        connection.channel().queue_declare(f"{namespace}.{ONE.name}", exclusive=True)
        start(reader)
        until(lambda: is_open(bus, OTHER), 20)
        until(lambda: bool(reader.of(OTHER.user)), 20)
    until(lambda: is_open(bus, ONE) and bool(reader.of(ONE.user)), 30)


def test_an_inbox_is_bounded(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """In messages and in bytes; who publishes is told that nothing more is taken."""
    reader = Reader()
    first = start(reader)
    until(lambda: is_open(bus, OTHER), 20)
    first.stop()
    with pytest.raises(BusUnavailable):
        bus.submit(ONE.name, b"x" * (16 * 1024 * 1024 + 1))
    for _ in range(16):
        bus.submit(ONE.name, b"x" * 1024 * 1023)
    with pytest.raises(BusUnavailable):
        bus.submit(ONE.name, b"x" * 1024 * 1024)
    bus.submit(OTHER.name, b"taken")


def test_a_dead_letter_goes_back_to_its_own_inbox(
    rabbitmq_server: RabbitMQ, bus: Bus, namespace: str, start: Callable[..., Inboxes]
) -> None:
    """And stays where it is when that inbox is gone."""
    reader = Reader()
    start(reader)
    until(lambda: is_open(bus, OTHER), 20)
    for _ in range(2):
        bus.submit(ONE.name, b"bad")
    with DeadLetters(rabbitmq_server.url, namespace=namespace) as letters:
        until(lambda: len(letters.all()) == 2, 20)
        first, second = letters.all()
        assert {first.queue, second.queue} == {f"{namespace}.{ONE.name}"}
        reader.batches.clear()
        assert letters.replay(lambda one: one.letter_id == first.letter_id) == [first]
        until(lambda: reader.of(ONE.user) == [b"bad"], 20)
        reader.which = [SHARED, OTHER]
        until(lambda: not is_open(bus, ONE), 20)
        assert letters.replay(lambda one: one.letter_id == second.letter_id) == []
        assert second in letters.all()


def test_a_dead_letter_for_a_full_inbox_stays(
    rabbitmq_server: RabbitMQ, bus: Bus, namespace: str, start: Callable[..., Inboxes]
) -> None:
    """A full inbox does not end the command of an operator, and no letter is lost."""
    first = start(Reader())
    until(lambda: is_open(bus, OTHER), 20)
    bus.submit(ONE.name, b"bad")
    with DeadLetters(rabbitmq_server.url, namespace=namespace) as letters:
        until(lambda: len(letters.all()) == 1, 20)
        first.stop()
        for _ in range(16):
            bus.submit(ONE.name, b"x" * 1024 * 1023)
        with pytest.raises(BusUnavailable):
            bus.submit(ONE.name, b"x" * 1024 * 1024)
        bus.submit(ONE.name, b"x" * 16 * 1024)
        assert letters.replay(lambda _: True) == []
        assert [one.body for one in letters.all()] == [b"bad"]


def test_what_comes_by_the_shared_inbox_is_nobodys_own(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """The broker says who has sent it, if anybody."""
    reader = Reader()
    start(reader)
    until(lambda: is_open(bus, SHARED), 20)
    until(lambda: bool(reader.bodies), 20)
    (found,) = reader.batches[0]
    assert (found.inbox, found.sender) == (None, "guest")


def test_a_name_that_the_broker_cannot_have_is_left_out(bus: Bus, start: Callable[..., Inboxes]) -> None:
    """AMQP has 255 bytes for a name."""
    reader = Reader()
    reader.which = [Inbox("reports." + "x" * 250, "node.long"), ONE]
    start(reader)
    until(lambda: is_open(bus, ONE) and bool(reader.of(ONE.user)), 20)
