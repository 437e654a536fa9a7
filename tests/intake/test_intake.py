"""The intake of reports: a batch of any reports is one append, on every store."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest
from door import NOW, SERVERS, STRANGER, Door
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.messages import RevokeSign
from sealward.commands.moves.location import AGREED
from sealward.events.base import Event, node_stream
from sealward.events.bus.message import Later
from sealward.events.is_valid import IsValid
from sealward.events.node import InstanceAppeared, InstanceLeft, NodeRegistered, NodeReportRefused, NodeSwept
from sealward.events.sign import Grounds, SignCreated, SignMoved, SignSealed, SignValidated
from sealward.events.signing import envelope as envelopes
from sealward.events.store.store import EventStore, StoreUnavailable, VersionConflict
from sealward.intake.reports.refusals import QUIET_FOR
from sealward.protocol import codec, reports


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
        ("kvm2", "report.wrong-node"),  # a flood is recorded once
    ]
    assert door.counted() == {
        ("", "envelope.malformed"): 1,
        ("", "envelope.not-verified"): 1,
        ("", "node.not-found"): 1,
    }


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
    assert door.take(again, node.bundle(*bodies)) == [None, None]
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
        node.seal(empty),
    )

    assert answers == ["envelope.not-verified", "node.not-found", *["report.malformed"] * 2]
    assert kinds(door.appends[0]) == [NodeReportRefused]  # what is too long or empty: the node has signed it
    assert door.heard == []


def test_a_refusal_is_recorded_once_in_a_while(door: Door, node: Reporter) -> None:
    """In a batch, over batches, and again when a minute is over."""

    def wrong() -> bytes:
        return node.measured(SERVERS[0], 1, NOW, node_id=2)

    door.take(wrong(), wrong())
    door.take(wrong())
    door.now += QUIET_FOR
    door.take(wrong())

    assert kinds(door.log()).count(NodeReportRefused) == 2


def test_what_came_too_late_is_no_attack(door: Door, node: Reporter) -> None:
    """A report on a sign that was revoked meanwhile is neither refused nor recorded."""
    door.handler.handle(RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVERS[0]))
    door.appends.clear()

    assert door.take(node.measured(SERVERS[0], 1, NOW), node.measured(SERVERS[1], 2, NOW)) == [None, None]
    assert kinds(door.appends[0]) == [SignSealed, SignValidated]


@pytest.mark.parametrize("cause", ["sealed", "domain-changed"])
def test_a_seal_needs_the_statements_own_signature(door: Door, node: Reporter, cause: str) -> None:
    """The report around it does not do: the reference must be checkable by itself."""
    report = codec.parse(envelopes.parse(node.measured(SERVERS[0], 1, NOW)))
    assert isinstance(report, reports.Measurement)
    stranger = {**report.envelope, "signatures": [{"keyid": "", "sig": "AA=="}]}
    lie = reports.Measurement(
        hostname="kvm1", server_id=SERVERS[0], envelope=stranger, cause=cause, task_id=report.task_id
    )

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
            for command in (
                RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVERS[0]),
                node.order(SERVERS[0]),
            ):
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
    bodies = (node.measured(SERVERS[0], 1, NOW), node.measured(SERVERS[1], 2, NOW, node_id=2))
    with pytest.raises(Later):
        door.take(*bodies)
    assert (door.log(), door.heard) == (known, [])
    door._append_all = appended

    assert door.take(*bodies) == [None, "report.wrong-node"]
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


def test_a_sign_follows_its_server(door: Door, node: Reporter) -> None:
    """Once its home has let it go the new node is heard; what the old one still says is late, no offence."""
    other = Reporter("kvm2", 2)
    assert door.take(node.measured(SERVERS[0], 1, NOW - timedelta(seconds=1)), other.registration()) == [
        None,
        None,
    ]

    assert door.take(node.inventory(*SERVERS, running=(), leaving=SERVERS[:1])) == [None]
    late = node.measured(SERVERS[0], 1, NOW, disk="a")
    assert door.take(other.inventory(SERVERS[0], running=SERVERS)) == [None]
    assert kinds(door.appends[-1]) == [InstanceAppeared, SignMoved]
    assert door.take(late, other.measured(SERVERS[0], 1, NOW, disk="b")) == [None, None]
    assert kinds(door.appends[-1]) == [SignValidated]
    assert door.take(other.inventory(SERVERS[0], running=SERVERS)) == [None]
    assert kinds(door.log()).count(SignMoved) == 1


def test_a_sign_goes_to_the_announced_destination_at_once(door: Door, node: Reporter) -> None:
    """As soon as both have said so, whichever speaks first; the destination claims nothing meanwhile."""
    other = Reporter("kvm2", 2)
    door.take(node.inventory(*SERVERS, running=SERVERS), other.registration())
    door.take(node.measured(SERVERS[0], 1, NOW), other.inventory(SERVERS[0], running=(), leaving=SERVERS[:1]))
    (inquiry,) = door.inquiries("kvm1")
    door.take(node.leaving(inquiry, NOW))
    assert door.take(other.inventory(SERVERS[0], running=SERVERS[:1])) == [None]
    assert kinds(door.appends[-1]) == [InstanceAppeared]
    door.take(node.inventory(*SERVERS, running=SERVERS[1:], leaving=SERVERS[:1]))

    assert kinds(door.appends[-1]) == [InstanceAppeared, SignMoved]
    assert [one.grounds for one in door.log() if isinstance(one, SignMoved)] == [Grounds.ANNOUNCED]
    assert door.verdict(SERVERS[0]).is_valid is IsValid.TRUE


def test_a_sign_follows_when_its_home_says_that_the_server_left_after_all(door: Door, node: Reporter) -> None:
    """The destination spoke first, and nothing was announced: the claim ends with the move."""
    other = Reporter("kvm2", 2)
    door.take(node.inventory(*SERVERS, running=SERVERS), other.registration())
    door.take(other.inventory(SERVERS[0], running=SERVERS[:1]))
    assert door.verdict(SERVERS[0]).claims
    door.take(node.inventory(*SERVERS[1:], running=SERVERS[1:]))

    assert [one.grounds for one in door.log() if isinstance(one, SignMoved)] == [Grounds.LEFT]
    assert not door.verdict(SERVERS[0]).claims


def test_a_leftover_moves_no_sign(door: Door, node: Reporter) -> None:
    """It is there, and does not run."""
    other = Reporter("kvm2", 2)

    assert door.take(node.inventory(*SERVERS, running=SERVERS), other.registration()) == [None, None]
    assert door.take(other.inventory(*SERVERS, running=())) == [None]
    assert SignMoved not in kinds(door.log())


def test_a_sign_goes_back_to_a_node_that_never_missed_its_server(door: Door, node: Reporter) -> None:
    """There and back between two looks of its home: it is the other node that says it is gone."""
    other = Reporter("kvm2", 2)
    door.take(node.inventory(*SERVERS, running=SERVERS), other.registration())
    door.take(node.measured(SERVERS[0], 1, NOW), other.wanted(SERVERS[0]))
    (inquiry,) = door.inquiries("kvm1")
    door.take(node.leaving(inquiry, NOW))
    door.now += AGREED
    door.take(other.inventory(SERVERS[0], running=SERVERS[:1]))
    assert door.take(node.inventory(*SERVERS, running=SERVERS)) == [None]

    assert door.take(other.inventory(running=())) == [None]
    assert kinds(door.appends[-1]) == [InstanceLeft, SignMoved]
    (back,) = (one for one in door.appends[-1] if isinstance(one, SignMoved))
    assert (back.from_hostname, back.hostname) == ("kvm2", "kvm1")


def test_a_server_that_is_nowhere_leaves_its_sign_where_it_is(door: Door, node: Reporter) -> None:
    """It is known to have left, and nothing else."""
    assert door.take(node.inventory(*SERVERS, running=SERVERS), node.inventory(running=())) == [None, None]
    assert SignMoved not in kinds(door.log())
