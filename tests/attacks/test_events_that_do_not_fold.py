"""An event of the log that can be read, and that no state can take: it stops its own stream alone.

The event may have been written by an older version, by a newer process, or past the control plane. Whoever
decides meets it each time that the stream is loaded.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import falcon.testing
import pytest
from door import AUTHORITY, NOW, SERVERS, Door, InMemory, Queues
from eventsourcing.persistence import StoredEvent
from programs import sealward
from reporter import Reporter

from sealward.commands import messages as ask
from sealward.commands import sign_state
from sealward.commands.context import RequestContext
from sealward.commands.errors import StreamUnreadable
from sealward.commands.node_state import Node
from sealward.commands.writer.handler import Handler
from sealward.commands.writer.soundness import flaws
from sealward.commands.writer.stream import of_node, of_sign
from sealward.control.leases import Leases
from sealward.control.set_aside import DECISIONS, SetAside
from sealward.control_plane import Core
from sealward.events.base import Event, sign_stream
from sealward.events.bus.connection import BusUnavailable
from sealward.events.sign import SignSealed
from sealward.events.store.store import EventStore, Snapshot, sqlite
from sealward.events.wire import codec
from sealward.intake.lease_keeper import LeaseKeeper
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.notes import Notes
from sealward.intake.telling.voice import Voice
from sealward.protocol.desired import Desired
from sealward.protocol.telling import Inquiry
from sealward.settings import Settings

BROKEN, SOUND, THIRD = SERVERS
TOKEN = "t" * 32
HEADERS = {"X-Auth-Token": TOKEN}


def seal_of_nothing(node: Reporter) -> SignSealed:
    """Return an event that can be read: the envelope in it holds no statement."""
    return SignSealed(
        timestamp=NOW,
        actor=f"node:{node.hostname}",
        sign_id=1,
        server_id=BROKEN,
        node_id=node.node_id,
        generation=2,
        digest="ab" * 32,
        envelope={"payload": 7},
    )


def put(store: EventStore, stream: UUID, version: int, event: Event) -> int:
    """Write an event past the control plane; return its position."""
    store._log.insert_events([StoredEvent(stream, version, event.topic, codec.encode(event))])
    return store.head()


def filled(store: EventStore, node: Reporter) -> int:
    """Have two servers sealed, and the stream of one broken; return the position of what breaks it."""
    door = Door(store)
    assert door.take(node.registration(), node.inventory(BROKEN, SOUND)) == [None, None]
    node.sign(door.handler, [BROKEN, SOUND])
    assert door.take(node.measured(BROKEN, 1, NOW), node.measured(SOUND, 2, NOW)) == [None, None]
    return put(store, sign_stream(BROKEN), 4, seal_of_nothing(node))


@pytest.fixture
def node() -> Reporter:
    """Return a node with servers."""
    return Reporter("kvm1", 1)


def test_its_own_stream_is_refused_and_its_neighbours_are_not(store: EventStore, node: Reporter) -> None:
    """In the same batch, by the same node: one report is refused, the other is recorded."""
    filled(store, node)
    door, later = Door(store), NOW + timedelta(seconds=5)
    door.now = later
    answers = door.take(
        node.measured(BROKEN, 1, later, disk="evil"), node.measured(SOUND, 2, later, disk="evil")
    )

    assert answers == ["event.unreadable", None]
    assert door.verdict(SOUND).is_valid.value == "false"


def test_the_other_servers_of_an_inventory_are_followed(store: EventStore, node: Reporter) -> None:
    """A sign moves with its server although the sign beside it cannot be read."""
    filled(store, node)
    door, other = Door(store), Reporter("kvm2", 2)
    taken = door.take(
        other.registration(),
        node.inventory(taken_at=NOW),
        other.inventory(BROKEN, SOUND, running=[BROKEN, SOUND], taken_at=NOW),
    )

    assert taken == [None, None, None]
    assert (door.sign(SOUND).node_id, door.sign(BROKEN).node_id) == (2, 1)


@pytest.mark.parametrize(
    "raised",
    [
        KeyError("x"),
        TypeError(),
        ValueError(),
        AttributeError(),
        RecursionError(),
        ZeroDivisionError(),
        AssertionError(),
    ],
    ids=repr,
)
def test_whatever_folding_raises(
    store: EventStore, node: Reporter, raised: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is set aside once, with what was raised; the stream is refused with a code of its own."""
    position = filled(store, node)
    fold = sign_state.evolve

    def broken(sign: sign_state.Sign | None, event: Event) -> sign_state.Sign | None:
        if isinstance(event, SignSealed) and event.generation == 2:
            raise raised
        return fold(sign, event)

    monkeypatch.setattr(sign_state, "evolve", broken)
    kept = SetAside(InMemory(), lambda: NOW)
    handler = Handler(
        store,
        AUTHORITY,
        clock=lambda: NOW,
        fresh_for=timedelta(minutes=15),
        set_aside=kept.of(DECISIONS),
    )
    for _ in range(2):
        with pytest.raises(StreamUnreadable):
            handler.handle(
                ask.RequestValidation(context=RequestContext(actor="user:admin"), server_id=BROKEN)
            )
    handler.handle(ask.RequestValidation(context=RequestContext(actor="user:admin"), server_id=SOUND))

    assert [(one.position, one.part, one.topic, one.reason) for one in kept.all()] == [
        (position, "decisions", "sign.sealed", type(raised).__name__)
    ]


def test_what_was_decided_a_moment_ago_and_does_not_fold(store: EventStore, node: Reporter) -> None:
    """It is recorded, and its neighbours in the batch; from then on its stream is refused."""
    door = Door(store)
    door.take(node.registration(), node.inventory(BROKEN, SOUND))
    node.sign(door.handler, [BROKEN])
    fold = sign_state.evolve

    def broken(sign: sign_state.Sign | None, event: Event) -> sign_state.Sign | None:
        if isinstance(event, SignSealed):
            raise KeyError("sealed")
        return fold(sign, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_state, "evolve", broken)
        assert door.take(node.measured(BROKEN, 1, NOW), node.inventory(SOUND, taken_at=NOW)) == [None, None]
        assert door.take(node.measured(BROKEN, 1, NOW)) == ["event.unreadable"]
    assert door.take(node.measured(BROKEN, 1, NOW, disk="evil")) == [None]


def test_a_snapshot_that_cannot_be_read_costs_a_longer_read(store: EventStore, node: Reporter) -> None:
    """It is no record: the stream is read from its beginning, and `replay` names the snapshot."""
    filled(store, node)
    sign, host = of_sign(SOUND), of_node("kvm1")
    store.keep_snapshots([Snapshot(sign.id, 3, sign.shape, b'{"sign_id": "evil"}')])
    store.keep_snapshots([Snapshot(host.id, 1, host.shape, b"\xff")])
    door = Door(store)

    assert door.take(node.measured(SOUND, 2, NOW + timedelta(seconds=1), disk="evil")) == [None]
    assert any("snapshot" in one.what for one in flaws(store))


def test_a_node_whose_stream_does_not_fold_is_lost_alone(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease keeper goes on with the next node after each error."""
    door = Door(store)
    nodes = [Reporter(f"kvm{number}", number) for number in (1, 2, 3)]
    door.take(*(one.registration() for one in nodes))
    leases = Leases(InMemory())
    leases.touch({one.hostname for one in nodes}, NOW)
    handle = door.handler.handle

    def broken(command: ask.Command) -> int:
        assert isinstance(command, ask.LoseNode)
        if command.hostname == "kvm2":
            raise KeyError(command.hostname)
        return handle(command)

    monkeypatch.setattr(door.handler, "handle", broken)
    LeaseKeeper(leases, door.handler, timedelta(seconds=1), lambda: NOW + timedelta(minutes=1)).check()
    with door.rows() as (projections, tables):
        lost = {one.hostname: one.lost for one in projections.nodes.all(tables)}

    assert lost == {"kvm1": True, "kvm2": False, "kvm3": True}


def test_a_node_that_cannot_be_answered_holds_up_no_other() -> None:
    """What it has to know cannot be read: the others have their answers and notes."""
    queues = Queues()
    voice = Voice(AUTHORITY)

    def desired(node: Node) -> Desired:
        if node.hostname == "kvm1":
            raise KeyError("verdict")
        return Desired(node.node_id, 1, None, "PEM", (), ())

    def written() -> Inquiry:
        raise TypeError("rows")

    answers, notes = Answers(desired, queues, voice), Notes(queues, voice)
    answers.take({f"kvm{one}": (Node(one, f"kvm{one}", "PEM"), "nonce") for one in (1, 2)}, {})
    notes.give("kvm3", written)
    notes.give("kvm4", lambda: Inquiry(SOUND, "nonce"))
    answers.work_off()
    notes.work_off()

    assert [one.queue for one in queues.letters] == ["node.kvm2", "node.kvm4"]
    assert not answers.waits


def test_a_broker_that_is_away_is_no_such_thing() -> None:
    """Then the answer waits."""
    queues = Queues()
    queues.is_away = True
    answers = Answers(lambda _: Desired(1, 1, None, "PEM", (), ()), queues, Voice(AUTHORITY))
    answers.take({"kvm1": (Node(1, "kvm1", "PEM"), "nonce")}, {})

    with pytest.raises(BusUnavailable):
        answers.work_off()
    assert answers.waits


def test_the_api_and_the_command_line_show_it(tmp_path: Path, node: Reporter) -> None:
    """409 for that server, by the code; listed with its position, until its stream can be read again."""
    data = tmp_path / "data"
    data.mkdir()
    store = sqlite(data / "log.sqlite")
    position = filled(store, node)
    unknown = StoredEvent(sign_stream(THIRD), 1, "sign.invented", b'{"version":1}')
    store._log.insert_events([unknown])
    store.close()
    core = Core(replace(Settings(), data_dir=data, admin_token=TOKEN))
    try:
        while core.projections.advance(core.store):
            pass
        client = falcon.testing.TestClient(core.app)
        refused = client.simulate_post(f"/v1/sign/{BROKEN}/validate", headers=HEADERS)
        taken = client.simulate_post(f"/v1/sign/{SOUND}/validate", headers=HEADERS)
        health = client.simulate_get("/healthcheck", params={"detailed": "true"}, headers=HEADERS).json
        metrics = client.simulate_get("/metrics", headers=HEADERS).text
        feed = client.simulate_get("/v1/events", params={"limit": "1000"}, headers=HEADERS)
    finally:
        core.close()
    listed = sealward(tmp_path, "events", "set-aside", "list")
    retried = sealward(tmp_path, "events", "set-aside", "retry")

    assert (refused.status_code, refused.json["error"]["reason"]) == (409, "event.unreadable")
    assert taken.status_code == 202
    assert (position, "decisions") in {(one["position"], one["part"]) for one in health["set_aside"]}
    assert 'sealward_set_aside_events{part="decisions"} 1.0' in metrics
    assert feed.status_code == 200  # although the log holds an entry that nobody can read
    assert f"{position}  decisions" in listed.stdout
    assert retried.returncode == 1
    assert f"{position}  decisions" in retried.stdout
