"""Who speaks in whose name: the broker's user, the key and the hostname must all be one node's."""

from __future__ import annotations

import pytest
from door import NOW, SERVERS, STRANGER, Door
from reporter import Reporter

from sealward.events.bus.message import Delivered, Dropped
from sealward.events.bus.permissions import user_of
from sealward.events.node import NodeReportRefused
from sealward.events.store.store import EventStore
from sealward.protocol import reports

OWN = "sealward-worker"


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door at a broker that vouches for its users."""
    return Door(store, OWN)


@pytest.fixture
def node(door: Door) -> Reporter:
    """Return a node."""
    made = Reporter("kvm1", 1)
    assert door.deliver(*[Delivered(one, {}, "node.kvm1") for one in (made.registration(), made.inventory())])
    return made


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        (None, "report.no-sender"),
        ("", "report.no-sender"),
        ("node.kvm2", "report.wrong-sender"),
        ("node.KVM1", "report.wrong-sender"),
        ("node.kvm1.", "report.wrong-sender"),
        ("node.kvm1 ", "report.wrong-sender"),
        ("node.kvm1\n", "report.wrong-sender"),
        ("node.kvm11", "report.wrong-sender"),
        ("node.kvm", "report.wrong-sender"),
        ("node.node.kvm1", "report.wrong-sender"),
        ("kvm1", "report.wrong-sender"),
        ("guest", "report.wrong-sender"),
        ("celery-client", "report.wrong-sender"),
        ("sealward-worker2", "report.wrong-sender"),
    ],
)
def test_the_key_alone_is_not_enough(door: Door, node: Reporter, sender: str | None, reason: str) -> None:
    """An attacker with a node's key needs the node's user at the broker as well."""
    known = door.log()
    bodies = [
        node.registration(),
        node.inventory(*SERVERS),
        node.seal(reports.Heartbeat(hostname="kvm1")),
        node.bundle(node.inventory(*SERVERS), node.swept(NOW, "1")),
    ]

    assert door.deliver(*[Delivered(one, {}, sender) for one in bodies]) == [reason] * 4
    assert door.log() == known
    assert door.counted() == {(sender or "", reason): 4}
    assert door.deliver(Delivered(node.inventory(), {}, "node.kvm1")) == [None]  # no turn was used up


def test_the_user_alone_is_not_enough(door: Door, node: Reporter) -> None:
    """Three thousand forged messages in an honest node's name leave one row in a table, and no event."""
    known = door.log()
    for _ in range(10):
        forged = [node.seal(reports.Inventory(hostname="kvm1", instances=(), taken_at=NOW), STRANGER)] * 300
        answers = door._intake.take([Delivered(one, {}, "node.kvm1") for one in forged])
        assert all(isinstance(one, Dropped) for one in answers)

    assert door.log() == known
    assert door.counted() == {("node.kvm1", "envelope.not-verified"): 3000}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"{}",
        b"[" * 100_000,
        b'{"payload": "e30=", "payloadType": "x", "signatures": []}',
        b'{"payload": "e30=", "payloadType": "application/vnd.sealward.report+json", "signatures": []}',
        "\0\u202e".encode(),
        b"\xff\xfe",
    ],
)
@pytest.mark.usefixtures("node")
def test_what_is_no_envelope_leaves_a_count(door: Door, body: bytes) -> None:
    """No event, no dead letter, nothing of what it says."""
    known = door.log()
    (answer,) = door._intake.take([Delivered(body, {}, "node.kvm1")])

    assert isinstance(answer, Dropped)
    assert door.log() == known
    assert sum(door.counted().values()) == 1


@pytest.mark.usefixtures("node")
def test_what_did_not_verify_is_not_repeated(door: Door) -> None:
    """A hostname, a server or a reason of a stranger's choice is neither recorded nor counted."""
    known = door.log()
    odd = "kvm1\0\u202e" + "x" * 20_000
    pem = Reporter(odd, 1)
    bodies = [
        pem.registration(),
        pem.inventory(odd),
        Reporter("kvm1", 1).seal(reports.Wanted(hostname="kvm1", server_id="a\0b")),
    ]
    door.deliver(*[Delivered(one, {}, "node.kvm1") for one in bodies])

    assert door.log() == known
    assert all(odd not in sender + reason for sender, reason in door.counted())


def test_what_the_node_has_signed_and_may_not_say_is_on_record(door: Door, node: Reporter) -> None:
    """Rate-limited: by reason and server, and for the whole node, also if the node names ever new servers."""
    sent = [
        node.measured(f"00000000-0000-4000-8000-{number:012}", 1, NOW, node_id=2) for number in range(300)
    ]
    assert set(door.deliver(*[Delivered(one, {}, "node.kvm1") for one in sent])) == {"report.wrong-node"}
    recorded = [one for one in door.log() if isinstance(one, NodeReportRefused)]

    assert 1 <= len(recorded) <= 20
    assert {one.reason for one in recorded} == {"report.wrong-node"}


def test_two_hostnames_never_have_one_user() -> None:
    """Case, dots and prefixes count: what differs as a hostname differs as a user."""
    names = ["kvm1", "KVM1", "kvm1.", "kvm1.example", "kvm1-example", "node.kvm1", "kvm", "kvm11", ".kvm1"]

    assert len({user_of(one) for one in names}) == len(names)
