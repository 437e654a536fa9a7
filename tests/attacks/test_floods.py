"""A node that says too much: the others are heard as before, and it is heard again when it is calm."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from door import NOW, Door
from hypothesis import given
from hypothesis import strategies as st
from reporter import ORDERED, Reporter

from sealward.events.bus.message import Delivered, Later
from sealward.events.comparison.measurement import Finding
from sealward.events.signing import envelope as envelopes
from sealward.events.store.store import EventStore, StoreUnavailable
from sealward.intake.reports import quota
from sealward.intake.reports.quota import LARGEST, MESSAGES, WORK, Allowance, OverQuota, Quota, TooLarge
from sealward.protocol import codec, reports

pytestmark = pytest.mark.heavy

OWN = "sealward-worker"


class Clock:
    """Seconds that go by when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def door(store: EventStore, clock: Clock) -> Door:
    """Return a door that knows two nodes."""
    made = Door(store, OWN)
    made._intake._quota = Quota(clock)
    return made


@pytest.fixture
def flooder(door: Door) -> Reporter:
    """Return a node that is going to say too much."""
    return joined(door, Reporter("kvm1", 1))


@pytest.fixture
def honest(door: Door) -> Reporter:
    """Return the other node."""
    return joined(door, Reporter("kvm2", 2))


def joined(door: Door, node: Reporter) -> Reporter:
    """Return a node that has registered."""
    assert send(door, node, node.registration()) == [None]
    return node


def send(door: Door, node: Reporter, *bodies: bytes) -> list[str | None]:
    """Have messages taken, as many at once as a worker takes."""
    said = [Delivered(one, {}, f"node.{node.hostname}") for one in bodies]
    return [one for at in range(0, len(said), 300) for one in door.deliver(*said[at : at + 300])]


def beat(node: Reporter) -> bytes:
    """Return a heartbeat."""
    return node.seal(reports.Heartbeat(hostname=node.hostname))


def test_garbage_is_refused_unread_before_long(
    door: Door, flooder: Reporter, honest: Reporter, clock: Clock
) -> None:
    """What is over the quota costs no look at it; the other node, in the same batches, is heard."""
    answers = send(door, flooder, *[b"garbage"] * 12_000)
    assert answers.count("envelope.malformed") == MESSAGES.burst - 1
    assert answers.count("report.over-quota") == 12_000 - MESSAGES.burst + 1
    assert send(door, flooder, beat(flooder)) == ["report.over-quota"]
    mixed = [Delivered(b"garbage", {}, "node.kvm1")] * 298
    assert door.deliver(*mixed, Delivered(beat(honest), {}, "node.kvm2"))[-1] is None
    clock.now += 1
    assert send(door, flooder, beat(flooder)) == [None]
    assert door.counted()["node.kvm1", "report.over-quota"] > 2000


def test_what_names_no_sender_is_not_read(door: Door, flooder: Reporter, honest: Reporter) -> None:
    """Nobody pays for it, so that it costs no look at it, however it is made."""
    said = [b"garbage", flooder.inventory(), b"x" * LARGEST]
    unnamed = [Delivered(one, {}, sender) for one in said for sender in (None, "")]
    answers = door.deliver(*unnamed, Delivered(beat(honest), {}, "node.kvm2"))

    assert answers == ["report.no-sender"] * 6 + [None]
    assert door.counted() == {("", "report.no-sender"): 6}


def test_who_names_no_sender_pays_for_the_own_inbox(
    door: Door, flooder: Reporter, honest: Reporter, clock: Clock
) -> None:
    """The broker lets nobody else write there, so that a flood without names is that node's as well."""
    flood = [Delivered(b"garbage", {}, None, inbox="node.kvm1")] * 300
    answers = [one for _ in range(40) for one in door.deliver(*flood)]
    assert answers.count("report.no-sender") == MESSAGES.burst - 1
    assert door._intake.rest("node.kvm1") > 0
    assert door._intake.rest("node.kvm2") == 0
    assert send(door, honest, beat(honest)) == [None]
    clock.now += door._intake.rest("node.kvm1")
    assert send(door, flooder, beat(flooder)) == [None]


def log_size(store: EventStore) -> int:
    """Return the bytes of all events."""
    return sum(len(one.state) for one in store.copy(0, 100_000))


def test_large_findings_that_come_and_go_do_not_fill_the_log(  # noqa: PLR0913, PLR0917 - as above
    door: Door,
    flooder: Reporter,
    honest: Reporter,
    clock: Clock,
    store: EventStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node may have so many bytes recorded and no more; the rest is refused and counted."""
    monkeypatch.setattr(quota, "LOG", Allowance(4_000_000, 1_000))
    door._intake._quota = Quota(clock)
    (server,) = many = [str(uuid.UUID(int=1))]
    assert send(door, flooder, flooder.inventory(*many)) == [None]
    flooder.sign(door.handler, many)
    assert send(door, flooder, flooder.measured(server, 1, NOW, cause="sealed", task_id=ORDERED)) == [None]
    before, answers = log_size(store), []
    for number in range(60):
        door.now += timedelta(seconds=1)
        said = found(flooder, server, door.now, 500_000 if number % 2 else 0)
        answers += send(door, flooder, said)

    assert answers.count(None) >= 4
    assert answers.count("report.over-log-quota") >= 40
    assert door.counted()["node.kvm1", "report.over-log-quota"] >= 40
    assert log_size(store) - before <= 4_000_000 + 700_000
    assert send(door, flooder, beat(flooder)) == [None]
    assert send(door, honest, honest.inventory(str(uuid.UUID(int=2)))) == [None]
    clock.now += 5_000
    assert send(door, flooder, flooder.inventory()) == [None]


def found(node: Reporter, server: str, at: datetime, size: int) -> bytes:
    """Return a measurement whose findings take so many bytes; with none it is as it was signed."""
    findings = tuple(Finding("disks", f"/domain/{at}", "x" * 4000, "y" * 4000) for _ in range(size // 8000))
    measured = codec.parse(envelopes.parse(node.measured(server, 1, at, disk="x" if size else "disk")))
    assert isinstance(measured, reports.Measurement)
    return node.seal(msgspec.structs.replace(measured, findings=findings))


def test_the_log_grows_by_no_more_than_is_paid(
    door: Door, flooder: Reporter, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each report of a node: its events in the log are no larger than the cost that is charged for it."""
    paid: list[int] = []
    reckon = quota.bytes_of

    def note(size: int, events: int) -> int:
        paid.append(reckon(size, events))
        return paid[-1]

    monkeypatch.setattr("sealward.intake.intake.bytes_of", note)
    many = [str(uuid.UUID(int=number + 1)) for number in range(100)]
    flooder.sign(door.handler, many)

    def seal(number: int) -> bytes:
        return flooder.measured(many[number], number + 1, NOW, cause="sealed", task_id=ORDERED)

    later = NOW + timedelta(seconds=1)
    steps: tuple[Callable[[], bytes], ...] = (
        lambda: flooder.inventory(*many, running=many),
        flooder.registration,
        lambda: flooder.bundle(*[seal(number) for number in range(50)]),
        *[functools.partial(seal, number) for number in range(50, 100)],
        lambda: flooder.swept(NOW, "1-100"),
        lambda: found(flooder, many[0], later, 800_000),
        flooder.inventory,
    )
    for say in steps:
        before, paid_before = log_size(store), sum(paid)
        assert send(door, flooder, say()) == [None]
        assert log_size(store) - before <= sum(paid) - paid_before
    assert sum(paid) > 1_000_000


def test_an_inventory_that_goes_to_and_fro_is_stopped(  # noqa: PLR0913, PLR0917 - two nodes, a clock, a store
    door: Door,
    flooder: Reporter,
    honest: Reporter,
    clock: Clock,
    store: EventStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Validly signed: each message becomes hundreds of events. Within one batch it is over."""
    monkeypatch.setattr(quota, "WORK", Allowance(2000, 20))
    door._intake._quota = Quota(clock)
    many = [str(uuid.UUID(int=number + 1)) for number in range(500)]
    bodies = [flooder.inventory(*many) if number % 2 else flooder.inventory() for number in range(40)]
    before = store.head()
    answers = door.deliver(
        *[Delivered(one, {}, "node.kvm1") for one in bodies], Delivered(beat(honest), {}, "node.kvm2")
    )

    assert answers[-1] is None
    assert store.head() - before <= 2000 + len(many)
    assert answers.count("report.over-quota") >= 30
    assert send(door, flooder, beat(flooder)) == [None]  # it is there, and says no more for now
    assert send(door, flooder, flooder.inventory()) == ["report.over-quota"]
    clock.now += 60
    assert send(door, flooder, flooder.inventory()) == [None]


def test_an_inventory_of_others_servers_costs_what_it_has_looked_at(
    door: Door, flooder: Reporter, honest: Reporter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes no event after the first time, and yet each server's sign is read: that is paid for."""
    monkeypatch.setattr(quota, "WORK", Allowance(400, 20))
    door._intake._quota = Quota(clock)
    many = [str(uuid.UUID(int=number + 1)) for number in range(50)]
    assert send(door, honest, honest.inventory(*many, running=many)) == [None]
    honest.sign(door.handler, many)
    said = [flooder.inventory(*many, running=()) for _ in range(20)]
    answers = [one for body in said for one in send(door, flooder, body)]

    assert 4 <= answers.count(None) <= 8
    assert set(answers[8:]) == {"report.over-quota"}
    assert send(door, honest, honest.inventory(*many, running=many)) == [None]


def test_questions_and_registrations_cost_more(door: Door, flooder: Reporter) -> None:
    """Each is answered with much."""
    answers = send(door, flooder, *[flooder.registration() for _ in range(1000)])

    assert 300 <= answers.count(None) <= WORK.burst / 50
    assert set(answers) == {None, "report.over-quota"}


def test_an_outage_of_the_store_costs_nobody_anything(
    door: Door, flooder: Reporter, honest: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batch is tried again and again: each message is paid once."""
    bodies = [beat(honest) for _ in range(250)]
    batch = [Delivered(one, {}, "node.kvm2") for one in bodies]

    def away(_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(door.handler, "together", away)
        for _ in range(100):
            with pytest.raises(Later):
                door.deliver(*batch)
    assert door.deliver(*batch) == [None] * 250
    assert send(door, flooder, beat(flooder)) == [None]


@pytest.mark.parametrize("size", [LARGEST + 1, 4 * LARGEST])
def test_a_message_that_no_agent_sends_is_not_looked_at(door: Door, flooder: Reporter, size: int) -> None:
    """However well it is signed."""
    assert send(door, flooder, b"x" * size) == ["report.too-large"]


def test_messages_that_are_too_large_silence_nobody_for_hours(
    door: Door, flooder: Reporter, clock: Clock
) -> None:
    """An attacker with only the node's user runs up no debt that the node would have to wait for."""
    large = b"x" * (LARGEST + 1)
    assert set(send(door, flooder, *[large] * 300)) == {"report.too-large", "report.over-quota"}
    clock.now += 2 * LARGEST / quota.BYTES.rate
    assert send(door, flooder, beat(flooder)) == [None]


def test_what_is_too_large_is_paid_once(
    door: Door, flooder: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the store is away, and the same batch is tried again and again."""
    batch = [Delivered(b"x" * (LARGEST + 1), {}, "node.kvm1"), Delivered(b"x", {}, None)]

    def away(_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(door.handler, "together", away)
        for _ in range(100):
            with pytest.raises(Later):
                door.deliver(*batch)
    assert door.deliver(*batch) == ["report.too-large", "report.no-sender"]
    assert send(door, flooder, beat(flooder)) == [None]


@pytest.mark.usefixtures("flooder")
def test_a_nodes_day_is_within_its_quota(door: Door, honest: Reporter, clock: Clock) -> None:
    """Three hundred servers appear, are sealed as fast as the agent can, and are swept; nothing is lost."""
    many = [str(uuid.UUID(int=number + 1)) for number in range(300)]
    assert send(door, honest, honest.inventory(*many)) == [None]
    honest.sign(door.handler, many)
    for at in range(0, len(many), 50):
        some = range(at, at + 50)
        bundle = honest.bundle(*[honest.measured(many[one], one + 1, NOW) for one in some])
        assert send(door, honest, bundle, beat(honest)) == [None, None]
    for _ in range(5):
        clock.now += 60
        door.now += timedelta(seconds=60)
        assert (
            send(door, honest, honest.inventory(*many), honest.swept(NOW, "1-300"), beat(honest))
            == [None] * 3
        )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, LARGEST), st.floats(0, 5)), max_size=60))
def test_no_sender_pays_for_another(said: list[tuple[str, int, float]]) -> None:
    """For every history of three senders: each is answered as if it was alone."""

    def answers(whose: str | None) -> list[tuple[str, bool]]:
        clock = Clock()
        made = Quota(clock)
        found = []
        for sender, size, seconds in said:
            clock.now += seconds
            if whose is None or sender == whose:
                found.append((sender, _admitted(made, sender, size)))
        return found

    together = answers(None)
    for one in "abc":
        assert [answer for answer in together if answer[0] == one] == answers(one)


def _admitted(made: Quota, sender: str, size: int) -> bool:
    try:
        made.admit(sender, size)
    except (OverQuota, TooLarge):
        return False
    return True


def test_users_that_come_and_go_use_up_no_memory() -> None:
    """The buckets of those that were heard last are kept."""
    made = Quota(Clock())
    for number in range(quota.KNOWN + 10):
        made.admit(f"node.{number}", 1)

    assert len(made._accounts) == quota.KNOWN
