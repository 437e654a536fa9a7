"""The door for nodes: a batch of reports is one append, whatever is in it, on every store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from reporter import Reporter

from sealward.commands import introductions, reading, reports
from sealward.commands.handler import Handler
from sealward.commands.intake import QUIET_FOR, Intake
from sealward.commands.messages import RevokeSign
from sealward.commands.node import Node
from sealward.events import envelope as envelopes
from sealward.events import store as stores
from sealward.events.base import Event, node_stream
from sealward.events.bus import Bus, Delivered, Later, Poison
from sealward.events.node import InstanceAppeared, InstanceLeft, NodeRegistered, NodeReportRefused, NodeSwept
from sealward.events.postgres import postgres
from sealward.events.sign import SignCreated, SignEvent, SignMoved, SignSealed, SignValidated
from sealward.events.store import EventStore, StoreUnavailable, VersionConflict
from sealward.events.verdict import IsValid

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SERVERS = tuple(str(uuid.UUID(int=number + 1)) for number in range(3))


def _memory(_: pytest.FixtureRequest) -> EventStore:
    return stores.in_memory()


def _sqlite(request: pytest.FixtureRequest) -> EventStore:
    folder: Path = request.getfixturevalue("tmp_path")
    return stores.sqlite(folder / "log.sqlite")


def _postgres(request: pytest.FixtureRequest) -> EventStore:
    return postgres(request.getfixturevalue("database"))


@pytest.fixture(params=[_memory, _sqlite, _postgres], ids=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    """Yield an empty store."""
    make: Callable[[pytest.FixtureRequest], EventStore] = request.param
    made = make(request)
    yield made
    made.close()


class Door:
    """An intake on a store, with a bus that nobody reads; it notes how often was appended."""

    def __init__(self, store: EventStore) -> None:
        self.now = NOW
        self.handler = Handler(store, AUTHORITY, clock=lambda: self.now, fresh_for=timedelta(minutes=15))
        self.heard: list[reports.AnyReport] = []
        self.told: list[str] = []
        self.appends: list[list[Event]] = []
        self.signs: dict[str, Callable[[], reports.Assignment]] = {}
        self._store = store
        self._append_all = store.append_all
        store.append_all = self._appended  # type: ignore[method-assign]  # to count
        self.sent: list[tuple[str, bytes]] = []
        bus = Bus("memory://", uuid.uuid4().hex)
        bus.send = lambda queue, body: self.sent.append((queue, body))  # type: ignore[method-assign]  # to look at
        self._intake = Intake(
            self.handler,
            self.heard.extend,
            bus,
            self._desire,
            lambda: self.now,
            elsewhere=self._elsewhere,
            sign_of=lambda server_id: self.signs[server_id]() if server_id in self.signs else None,
        )

    def take(self, *bodies: bytes) -> list[str | None]:
        """Have a batch taken; return the reason of each that is refused."""
        return [None if one is None else one.reason for one in self.answers(*bodies)]

    def answers(self, *bodies: bytes) -> Sequence[Poison | None]:
        """Have a batch taken."""
        return self._intake.take([Delivered(one, {}) for one in bodies])

    def log(self) -> list[Event]:
        """Return the whole log."""
        return [one.event for one in self._store.follow(0)]

    def _desire(self, node: Node) -> reports.Desired:
        self.told.append(node.hostname)
        return reports.Desired(node.node_id, self._store.head(), node.active, "PEM", (), ())

    def _elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        signed = {one.server_id: one.node_id for one in self.log() if isinstance(one, SignEvent)}
        return [one for one in server_ids if signed.get(one, node_id) != node_id]

    def _appended(self, events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        position = self._append_all(events)
        self.appends.append([event for _, _, event in events])
        return position


@pytest.fixture(autouse=True, params=[1, reading.MANY], ids=["proved-ahead", "proved-when-decided"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have signatures verified by threads, ahead of deciding; and, for there are few, one by one."""
    monkeypatch.setattr(reading, "MANY", request.param)


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return an intake that has seen nothing yet."""
    return Door(store)


@pytest.fixture
def node(door: Door) -> Reporter:
    """Return a node with three servers, whose signs 1, 2, 3 are ordered."""
    made = Reporter("kvm1", 1)
    assert door.take(made.registration(), made.inventory(*SERVERS)) == [None, None]
    for one in SERVERS:
        door.handler.handle(made.order(one))
    door.appends.clear()
    door.heard.clear()
    return made


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    """Return the kinds of events."""
    return [type(one) for one in events]


def test_a_node_can_register_and_report_in_one_batch(door: Door) -> None:
    """What comes first counts for what comes next, and the node is told everything once."""
    one = Reporter("kvm1", 1)
    body = one.registration()

    assert door.take(body, one.inventory(SERVERS[0]), body) == [None, None, None]
    assert kinds(door.log()) == [NodeRegistered, InstanceAppeared]
    assert (len(door.appends), door.told) == (1, ["kvm1"])


def test_a_batch_is_one_append_in_the_order_of_its_reports(door: Door, node: Reporter) -> None:
    """Seals, changed verdicts of the same servers, a sweep and an inventory."""
    answers = door.take(
        node.measured(SERVERS[0], 1, NOW),
        node.measured(SERVERS[1], 2, NOW),
        node.swept(NOW, "1-2"),
        node.measured(SERVERS[0], 1, NOW + timedelta(seconds=1), disk="other"),
        node.measured(SERVERS[0], 1, NOW + timedelta(seconds=2)),
        node.inventory(*SERVERS[:2]),
    )
    (batch,) = door.appends

    assert answers == [None] * 6
    assert kinds(batch[:5]) == [SignSealed, SignValidated, SignSealed, SignValidated, NodeSwept]
    verdicts = [one.is_valid for one in batch if isinstance(one, SignValidated)]
    assert verdicts == [IsValid.TRUE, IsValid.TRUE, IsValid.FALSE, IsValid.TRUE]
    assert door.log()[-len(batch) :] == batch
    assert len(door.heard) == 6


def test_what_is_refused_hurts_none_of_its_batch(door: Door, node: Reporter) -> None:
    """Garbage, a stranger's and another node's are refused with their reasons; the rest is taken."""
    other = Reporter("kvm2", 2)
    answers = door.take(
        b"garbage",
        node.measured(SERVERS[0], 1, NOW),
        node.seal(reports.Inventory(hostname="kvm1", instances=(), taken_at=NOW), STRANGER),
        other.inventory(SERVERS[0]),
        other.registration(),
        other.measured(SERVERS[1], 2, NOW),
        other.measured(SERVERS[1], 2, NOW, node_id=1),
        node.measured(SERVERS[1], 2, NOW),
    )
    (batch,) = door.appends

    assert answers == [
        "envelope.malformed",
        None,
        "envelope.not-verified",
        "node.not-found",
        None,
        "report.wrong-node",
        "report.wrong-node",
        None,
    ]
    assert [one.server_id for one in batch if isinstance(one, SignSealed)] == [SERVERS[0], SERVERS[1]]
    assert [(one.hostname, one.reason) for one in batch if isinstance(one, NodeReportRefused)] == [
        ("kvm1", "envelope.not-verified"),
        ("kvm2", "report.wrong-node"),  # a flood is recorded once
    ]


def test_what_is_said_together_is_taken_like_what_is_said_apart(door: Door, node: Reporter) -> None:
    """The same facts in the same order, under one signature."""
    bodies = [
        node.measured(SERVERS[0], 1, NOW),
        node.measured(SERVERS[1], 2, NOW, disk="b"),
        node.swept(NOW, "1"),
        node.measured(SERVERS[0], 1, NOW + timedelta(seconds=1), disk="other"),
        node.inventory(*SERVERS[:2]),
    ]
    assert door.take(node.bundle(*bodies)) == [None]
    (together,) = door.appends
    again = node.bundle(*reversed(bodies))

    assert kinds(together) == [
        *(SignSealed, SignValidated) * 2,
        NodeSwept,
        SignValidated,
        InstanceLeft,
    ]
    assert [type(one).__name__ for one in door.heard] == [
        *("Measurement",) * 2,
        "Sweep",
        "Measurement",
        "Inventory",
    ]
    known = len(door.log())
    assert door.take(node.bundle(*bodies), again) == [None, None]
    assert len(door.log()) == known


def test_of_a_bundle_only_that_is_refused_which_may_not_be_said(door: Door, node: Reporter) -> None:
    """The rest counts; the message lies with the dead letters, and names the first that was refused."""
    other = Reporter("kvm2", 2, node.key)
    bundle = node.bundle(
        node.measured(SERVERS[0], 1, NOW),
        other.inventory(),
        node.seal(reports.Heartbeat(hostname="kvm1")),
        node.registration(),
        node.measured(SERVERS[1], 2, NOW, node_id=2),
        node.bundle(node.swept(NOW, ""), node.swept(NOW, "")),
        node.measured(SERVERS[2], 3, NOW),
    )
    (poison,) = door.answers(bundle)
    assert poison is not None
    (batch,) = door.appends

    assert (poison.reason, poison.detail[:15]) == ("report.wrong-node", "report 2 of 7: ")
    assert [one.server_id for one in batch if isinstance(one, SignSealed)] == [SERVERS[0], SERVERS[2]]
    assert [(one.reason, one.server_id) for one in batch if isinstance(one, NodeReportRefused)] == [
        ("report.wrong-node", None),
        ("report.malformed", None),
        ("report.wrong-node", SERVERS[1]),
    ]
    assert len(door.heard) == 3


def test_a_bundle_that_the_node_has_not_signed_is_refused_whole(door: Door, node: Reporter) -> None:
    """By a stranger, under the name of a node that nobody knows, too long, or empty."""
    said = [node.measured(SERVERS[0], 1, NOW), node.inventory()]
    nobody = Reporter("kvm9", 9)
    long = node.bundle(*[node.swept(NOW, "")] * (reports.MOST + 1))
    empty = reports.Bundle(hostname="kvm1", reports=())
    answers = door.take(
        node.bundle(*said, key=STRANGER),
        nobody.bundle(nobody.inventory(), nobody.inventory()),
        long,
        node.seal(empty),  # type: ignore[arg-type]  # what no agent says
    )

    assert answers == ["envelope.not-verified", "node.not-found", *["report.malformed"] * 2]
    assert kinds(door.appends[0]) == [NodeReportRefused]
    assert door.heard == []


def test_a_refusal_is_recorded_once_in_a_while(door: Door, node: Reporter) -> None:
    """In a batch, over batches, and again when a minute is over."""
    forged = node.seal(reports.Inventory(hostname="kvm1", instances=(), taken_at=NOW), STRANGER)
    door.take(forged, forged)
    door.take(forged)
    door.now += QUIET_FOR
    door.take(forged)

    assert kinds(door.log()).count(NodeReportRefused) == 2


def test_what_came_too_late_is_no_attack(door: Door, node: Reporter) -> None:
    """A report on a sign that was revoked meanwhile is neither refused nor recorded."""
    door.handler.handle(RevokeSign(actor="user:admin", server_id=SERVERS[0]))
    door.appends.clear()

    assert door.take(node.measured(SERVERS[0], 1, NOW), node.measured(SERVERS[1], 2, NOW)) == [None, None]
    assert kinds(door.appends[0]) == [SignSealed, SignValidated]


@pytest.mark.parametrize("cause", ["sealed", "domain-changed"])
def test_a_seal_needs_the_statements_own_signature(door: Door, node: Reporter, cause: str) -> None:
    """The report around it does not do: the reference must be checkable by itself."""
    report = reports.parse(envelopes.parse(node.measured(SERVERS[0], 1, NOW)))
    assert isinstance(report, reports.Measurement)
    stranger = {**report.envelope, "signatures": [{"keyid": "", "sig": "AA=="}]}
    lie = reports.Measurement(hostname="kvm1", server_id=SERVERS[0], envelope=stranger, cause=cause)

    assert door.take(node.seal(lie)) == ["envelope.not-verified"]
    assert SignSealed not in kinds(door.log())


def test_redelivery_is_harmless(door: Door, node: Reporter) -> None:
    """Reports that come again, in the same batch or later, say nothing new."""
    bodies = [node.measured(SERVERS[0], 1, NOW), node.inventory(*SERVERS[:2])]
    door.take(*bodies, *bodies)
    known = len(door.log())
    door.take(*bodies)

    assert kinds(door.log()).count(SignSealed) == 1
    assert len(door.log()) == known


def test_of_a_conflict_all_is_decided_anew(door: Door, node: Reporter) -> None:
    """Somebody signs the server anew between load and append: the batch knows it when it is appended."""
    appended = door._append_all
    raced: list[bool] = []

    def race(events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        if not raced:
            raced.append(True)
            for command in (RevokeSign(actor="user:admin", server_id=SERVERS[0]), node.order(SERVERS[0])):
                door.handler.handle(command)
            with pytest.raises(VersionConflict):
                appended(events)
            raise VersionConflict
        return appended(events)

    door._append_all = race
    assert door.take(node.measured(SERVERS[0], 1, NOW), node.measured(SERVERS[1], 2, NOW)) == [None, None]

    assert [one.server_id for one in door.log() if isinstance(one, SignSealed)] == [SERVERS[1]]
    assert [one.sign_id for one in door.log() if isinstance(one, SignCreated)] == [1, 2, 3, 4]


def test_while_the_store_is_away_nothing_is_done(door: Door, node: Reporter) -> None:
    """Later for the whole batch; then it is taken, refusals included."""
    appended = door._append_all
    known = door.log()

    def away(events: Sequence[tuple[uuid.UUID, int, Event]]) -> int:
        raise StoreUnavailable(len(events))

    door._append_all = away
    forged = node.seal(reports.Inventory(hostname="kvm1", instances=(), taken_at=NOW), STRANGER)
    bodies = (node.measured(SERVERS[0], 1, NOW), forged)
    with pytest.raises(Later):
        door.take(*bodies)
    assert (door.log(), door.heard) == (known, [])
    door._append_all = appended

    assert door.take(*bodies) == [None, "envelope.not-verified"]
    assert kinds(door.appends[0]) == [SignSealed, SignValidated, NodeReportRefused]


def test_a_long_stream_is_loaded_from_its_snapshot(door: Door, node: Reporter, store: EventStore) -> None:
    """A node's stream after many sweeps and a large inventory is a snapshot and a short tail."""
    door.take(*[node.swept(NOW + timedelta(milliseconds=number), "1") for number in range(120)])
    stream = node_stream("kvm1")
    kept = store.snapshot(stream)
    assert kept is not None
    loaded = store.load({stream: kept.topic})[stream]
    assert loaded.snapshot == kept
    assert loaded.events == []

    assert door.take(node.inventory(SERVERS[0])) == [None]
    assert store.load({stream: "another shape"})[stream].snapshot is None
    assert len(store.load({stream: "another shape"})[stream].events) == len(store.read(stream))


def test_a_sign_follows_its_server_and_both_nodes_are_told(door: Door, node: Reporter) -> None:
    """From then on the new node is heard; what the old one still says is late, and no offence."""
    other = Reporter("kvm2", 2)
    assert door.take(node.measured(SERVERS[0], 1, NOW - timedelta(seconds=1)), other.registration()) == [
        None,
        None,
    ]
    door.told.clear()
    late, heard = node.measured(SERVERS[0], 1, NOW, disk="a"), other.measured(SERVERS[0], 1, NOW, disk="b")

    assert door.take(other.inventory(SERVERS[0], running=SERVERS)) == [None]
    assert kinds(door.appends[-1]) == [InstanceAppeared, SignMoved]
    assert sorted(door.told) == ["kvm1", "kvm2"]
    assert door.take(late, heard) == [None, None]
    assert kinds(door.appends[-1]) == [SignValidated]
    assert door.take(other.inventory(SERVERS[0], running=SERVERS)) == [None]
    assert len(door.told) == 2


def test_a_leftover_moves_no_sign(door: Door, node: Reporter) -> None:
    """It is there, and does not run."""
    other = Reporter("kvm2", 2)

    assert door.take(node.inventory(*SERVERS, running=SERVERS), other.registration()) == [None, None]
    assert door.take(other.inventory(*SERVERS, running=())) == [None]
    assert SignMoved not in kinds(door.log())


def _assignment(server_id: str, envelope: str | None = "{}") -> reports.Assignment:
    return reports.Assignment(1, server_id, 1, 1, "true", (), envelope)


def _wanted(node: Reporter, server_id: str) -> bytes:
    return node.seal(reports.Wanted(hostname=node.hostname, server_id=server_id))


def _introduced(door: Door) -> list[tuple[str, str, bool]]:
    """Return who was told of which server, and whether it is signed."""
    read = [(queue, msgspec.json.decode(body)) for queue, body in door.sent]
    return [
        (queue, one["server_id"], one["assignment"] is not None)
        for queue, one in read
        if one["kind"] == "incoming"
    ]


def test_a_start_gate_is_told_of_any_server(door: Door, node: Reporter) -> None:
    """Whoever's it is; what is not sealed yet is as what nobody signed, and nothing is written."""
    door.signs[SERVERS[0]] = lambda: _assignment(SERVERS[0])
    door.signs[SERVERS[1]] = lambda: _assignment(SERVERS[1], None)
    known = door.log()

    assert door.take(*[_wanted(node, one) for one in SERVERS]) == [None] * 3
    assert _introduced(door) == [("node.kvm1", one, one == SERVERS[0]) for one in SERVERS]
    assert door.log() == known


def test_nobody_but_a_registered_node_is_told(door: Door, node: Reporter) -> None:
    """Nor one that speaks in another's name."""
    report = reports.Wanted(hostname="kvm1", server_id=SERVERS[0])
    reasons = door.take(node.seal(report, STRANGER), _wanted(Reporter("kvm2", 2), SERVERS[0]))

    assert reasons == ["envelope.not-verified", "node.not-found"]
    assert _introduced(door) == []


def test_what_cannot_be_answered_holds_up_nobody(door: Door, node: Reporter) -> None:
    """The gate waits no longer; the reports beside it are taken once."""

    def away() -> reports.Assignment:
        raise StoreUnavailable("behind")

    door.signs[SERVERS[0]] = away
    answers = door.take(_wanted(node, SERVERS[0]), _wanted(node, SERVERS[1]))

    assert answers == [None, None]
    assert _introduced(door) == [("node.kvm1", SERVERS[1], False)]


def test_a_node_that_asks_for_too_many_is_told_no_more(
    door: Door, node: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a minute; that is recorded, and other nodes are not affected."""
    monkeypatch.setattr(introductions, "AT_MOST", 2)
    other = Reporter("kvm2", 2)
    door.take(other.registration())
    reasons = door.take(*[_wanted(node, one) for one in SERVERS], _wanted(other, SERVERS[0]))
    door.now += introductions.WITHIN
    later = door.take(_wanted(node, SERVERS[2]))

    assert reasons == [None, None, "report.too-many-questions", None]
    assert later == [None]
    assert [one.reason for one in door.log() if isinstance(one, NodeReportRefused)] == [
        "report.too-many-questions"
    ]
