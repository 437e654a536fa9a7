"""An envelope counts once: envelopes are sent again, by any sender, in any order."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from door import NOW, SERVERS, Door
from hypothesis import given, settings
from hypothesis import strategies as st
from reporter import Reporter, ever_later

from sealward.events.bus.message import Delivered
from sealward.events.enforcement import Gate
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keys import public_pem
from sealward.events.store.store import EventStore, in_memory
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.messages.turns import Turns
from sealward.protocol import codec, reports
from sealward.protocol.telling import Behind
from sealward.protocol.turn import Turn

USER = "node.kvm1"
OWN = "sealward-worker"


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door at a broker that vouches for its users, and knows a node."""
    return Door(store, OWN)


@pytest.fixture
def node(door: Door) -> Reporter:
    """Return a node with three servers."""
    made = Reporter("kvm1", 1)
    assert door.deliver(said(made.registration()), said(made.inventory(*SERVERS))) == [None, None]
    return made


def said(body: bytes, sender: str | None = USER, *, redelivered: bool = False) -> Delivered:
    """Return what the broker delivers."""
    return Delivered(body, {}, sender, redelivered)


def everything(node: Reporter) -> list[bytes]:
    """Return one envelope of every kind that an agent says, in an order that makes sense."""
    name = node.hostname
    return [
        node.registration(),
        node.seal(reports.Heartbeat(hostname=name)),
        node.inventory(*SERVERS[:2], running=SERVERS[:1]),
        node.seal(reports.Firmware(hostname=name, files={"/fw": "ab" * 32})),
        node.seal(reports.Enforcement(hostname=name, state=Gate.ACTIVE)),
        node.seal(reports.Progress(hostname=name, readings=())),
        node.seal(reports.Wanted(hostname=name, server_id=SERVERS[2])),
        node.measured(SERVERS[0], 1, NOW),
        node.swept(NOW, ""),
        node.bundle(node.swept(NOW, ""), node.inventory(*SERVERS)),
        node.seal(reports.Enforcement(hostname=name, state=Gate.ABSENT)),
    ]


def test_every_kind_of_report_counts_once(door: Door, node: Reporter) -> None:
    """Sent again all of them are refused, and neither log nor leases know of it."""
    bodies = everything(node)
    door.deliver(*map(said, bodies))
    known, heard = door.log(), len(door.heard)

    assert door.deliver(*map(said, bodies[:-1])) == ["report.not-newer"] * (len(bodies) - 1)
    assert door.deliver(said(bodies[-1])) == [None]  # the last one: nobody can tell who has sent it twice
    assert (door.log(), len(door.heard)) == (known, heard)
    assert door.counted() == {(USER, "report.not-newer"): len(bodies) - 1}


def test_what_the_broker_delivers_again_is_no_attack(door: Door, node: Reporter) -> None:
    """A worker died before it could acknowledge: answered as done, not counted, nothing happens twice."""
    bodies = everything(node)
    door.deliver(*map(said, bodies))
    known, heard = door.log(), len(door.heard)

    assert door.deliver(*[said(one, redelivered=True) for one in bodies]) == [None] * len(bodies)
    assert (door.log(), len(door.heard), door.counted()) == (known, heard, {})


def test_a_worker_that_died_between_append_and_note_does_no_harm(door: Door, node: Reporter) -> None:
    """The batch is decided again, and ends where it ended before."""
    bodies = everything(node)
    kept = door.control.run
    door.control.run = lambda block, values=(): ([], 0) if block == "keep-turns" else kept(block, values)  # type: ignore[method-assign]
    door.deliver(*map(said, bodies[:-1]))
    door.control.run = kept  # type: ignore[method-assign]
    before = _state(door)
    door.deliver(*[said(one, redelivered=True) for one in bodies[:-1]])

    assert _state(door) == before


def _state(door: Door) -> object:
    """Return what is known of the node."""
    return door.handler.together(lambda batch: batch.node("kvm1"))[1]


@settings(max_examples=30)
@given(order=st.permutations(range(13)), seed=st.integers())
def test_no_order_makes_old_words_count(order: list[int], seed: int) -> None:
    """Old envelopes are sent again between new envelopes: the log is that of the new envelopes alone."""
    dice = random.Random(seed)  # noqa: S311 - replays
    plain, attacked = Door(in_memory(), OWN), Door(in_memory(), OWN)
    node = Reporter("kvm1", 1)
    first = [node.registration(), node.inventory(*SERVERS)]
    bodies = [*first, *everything(node)]
    plain.deliver(*map(said, bodies))
    for number, body in enumerate(bodies):
        attacked.deliver(said(body))
        old = [bodies[one] for one in order if one < number and dice.random() < 0.3]
        assert set(attacked.deliver(*map(said, old))) <= {"report.not-newer"}

    assert attacked.log() == plain.log()
    assert len(attacked.heard) == len(plain.heard)


def test_a_turn_must_be_given(door: Door, node: Reporter) -> None:
    """An agent from before there were turns, or one that leaves them out."""
    bare = reports.Heartbeat(hostname="kvm1")
    for turn in (Turn(0, 0), Turn(0, 5), Turn(9, 0)):
        assert door.deliver(said(codec.seal(codec.numbered(bare, turn), node.key))) == ["report.not-newer"]


def test_a_turn_is_of_a_key_not_of_a_name(door: Door, node: Reporter) -> None:
    """Two nodes count for themselves; the owner of a key cannot use up the turns of another key."""
    other = Reporter("kvm2", 2)
    last = codec.numbered(reports.Heartbeat(hostname="kvm1"), Turn(2**53 - 1, 2**53 - 1))
    assert door.deliver(said(codec.seal(last, node.key)), said(other.registration(), "node.kvm2")) == [
        None,
        None,
    ]
    assert door.deliver(said(other.inventory(), "node.kvm2")) == [None]


@pytest.mark.parametrize("boot", [-1, 2**53, 2**64, 1.5, "1", None])
def test_a_turn_that_is_no_number_is_no_report(door: Door, node: Reporter, boot: object) -> None:
    """Nor does it end the intake."""
    text = msgspec.json.encode({"kind": "heartbeat", "hostname": "kvm1", "boot": boot, "seq": 1})
    envelope = envelopes.sign(envelopes.Envelope(text, codec.PAYLOAD_TYPE), node.key)
    body = msgspec.json.encode(envelope.to_json())

    assert door.deliver(said(body)) == ["report.malformed"]


def behind(door: Door) -> list[tuple[str, Behind]]:
    """Return who was told that it is behind."""
    return [("node.kvm1", one) for one in door.said("kvm1") if isinstance(one, Behind)]


def test_a_node_whose_ledger_was_lost_or_put_back_is_told_where_it_was(
    door: Door, node: Reporter, tmp_path: Path
) -> None:
    """It asks, is told the last boot that was heard, and goes on after it; before, it is not believed."""
    later = Reporter("kvm1", 1, node.key, turns=ever_later(7))
    door.deliver(said(later.seal(reports.Heartbeat(hostname="kvm1"))))
    again = Reporter("kvm1", 1, node.key, turns=ever_later(3))
    pem = public_pem(node.key.public_key())
    asked = reports.Registration(hostname="kvm1", public_key=pem, nonce="n-1")
    assert door.deliver(said(again.seal(asked)), said(again.inventory())) == ["report.not-newer"] * 2

    assert behind(door) == [("node.kvm1", Behind(7, "n-1"))]
    ledger = Ledger(tmp_path / "ledger.sqlite")
    turns = Turns(ledger)
    assert turns.go_beyond(7)
    assert turns.next() == (8, 1)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert Turns(ledger).next() == (9, 1)  # kept: the next start is a later boot
    ledger.close()
