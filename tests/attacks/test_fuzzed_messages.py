"""Reports and orders that are nearly right, against the real intake over PostgreSQL and a real broker.

Each message is accepted or refused by a code, and projections and relay set nothing aside.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from door import NOW, ONE_NODE, SERVERS, Door
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from reporter import Reporter
from strategies import drawn

from sealward.events import values
from sealward.events.bus.amqp import AmqpPublisher
from sealward.events.bus.message import Poison
from sealward.events.signing import envelope as envelopes
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.intake.orders import TASK, Orders
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from sealward.protocol import codec, reports
from stack.rabbitmq import RabbitMQ

KINDS = [
    reports.Registration,
    reports.Heartbeat,
    reports.Inventory,
    reports.Firmware,
    reports.Measurement,
    reports.Failure,
    reports.Sweep,
    reports.Enforcement,
    reports.Objection,
    reports.Reaction,
    reports.Progress,
    reports.SetAside,
    reports.Wanted,
]
HOSTILE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(("\0", "a\nb", "\u202e", "x" * 5000, "9" * 5000, "9999-12-31T23:59:59Z", *SERVERS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NODE = Reporter("kvm1", 1)


@st.composite
def said(draw: st.DrawFn) -> dict[str, Any]:
    """Return a report of any kind as it may be, or with one or two fields as they may not be."""
    report = msgspec.to_builtins(draw(drawn(draw(st.sampled_from(KINDS)))))
    report |= {"hostname": NODE.hostname} if draw(st.integers(0, 9)) else {}
    if "server_id" in report and draw(st.booleans()):
        report["server_id"] = draw(st.sampled_from(SERVERS))
    for name in draw(st.lists(st.sampled_from(sorted(report)), max_size=2)):
        report[name] = draw(HOSTILE)
    return dict(report)


def sealed(report: dict[str, Any]) -> bytes:
    """Return a report as kvm1 signs it, in its turn unless it has another."""
    turn = next(NODE.turns)
    if report.get("boot") == 0 or "boot" not in report:
        report |= {"boot": turn.boot, "seq": turn.seq}
    made = envelopes.Envelope(msgspec.json.encode(report), codec.PAYLOAD_TYPE)
    return msgspec.json.encode(envelopes.sign(made, NODE.key).to_json())


@pytest.fixture
def store(database: str) -> Iterator[EventStore]:
    """Yield an empty log in PostgreSQL."""
    made = postgres(database)
    yield made
    made.close()


def test_nothing_stands_still(store: EventStore, database: str, rabbitmq_server: RabbitMQ) -> None:
    """Accepted or refused, in batches of any size; rows, relay and the honest node go on."""
    door = Door(store)
    honest = Reporter("kvm2", 2)
    assert door.take(NODE.registration(), NODE.inventory(*SERVERS), honest.registration()) == [None] * 3
    NODE.sign(door.handler, SERVERS)
    assert door.take(*[NODE.measured(one, at, NOW, cause="sealed") for at, one in enumerate(SERVERS, 1)])
    rows = Projections(PostgresBackend(database))
    aside: list[object] = []
    publisher = AmqpPublisher(rabbitmq_server.url, set_aside=lambda *one: aside.append(one))
    published = taken = 0
    orders = Orders(door.handler, ONE_NODE, lambda: NOW)

    @settings(
        max_examples=60, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate)
    )
    @given(st.lists(said(), min_size=1, max_size=5), HOSTILE, HOSTILE)
    def holds(batch: list[dict[str, Any]], task_id: object, node_id: object) -> None:
        nonlocal published, taken
        answers = door.take(*map(sealed, batch), honest.inventory(str(uuid.uuid4())))
        assert answers[-1] is None
        taken += answers[:-1].count(None)
        with contextlib.suppress(Poison):
            body = msgspec.json.encode([[], {"node_id": node_id, "action": "activate"}, {}])
            orders.take(body, {"task": TASK, "id": task_id})
        while rows.advance(store):
            pass
        with rows.reading() as tables:
            assert rows.set_aside.all(tables) == []
        entries = store.entries(published, 1000)
        publisher.publish(store.copy(published, 1000))
        published = store.head()
        assert aside == []
        for one in entries:
            values.check(getattr(one, "event", None))

    holds()
    assert taken > 0
    publisher.close()
    rows.close()
