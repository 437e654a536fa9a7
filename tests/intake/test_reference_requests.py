"""What start gates are told of servers that are not their node's: registered ones alone, and in time."""

from __future__ import annotations

import pytest
from door import NOW, SERVERS, STRANGER, Door
from reporter import Reporter

from sealward.commands.context import SYSTEM, RequestContext
from sealward.commands.messages import LoseNode, RemoveNode
from sealward.events.node import NodeReportRefused
from sealward.events.sign import SignLeaving
from sealward.events.store.store import StoreUnavailable
from sealward.intake.registration import reference_requests
from sealward.protocol import reports
from sealward.protocol.desired import Assignment
from sealward.protocol.telling import Incoming


def _assignment(server_id: str, envelope: str | None = "{}") -> Assignment:
    return Assignment(1, server_id, 1, 1, "true", (), envelope)


def _sealed(door: Door, node: Reporter) -> None:
    """Have all servers sealed: what is not sealed has no reference to be given."""
    bodies = [node.measured(one, number, NOW) for number, one in enumerate(SERVERS, 1)]
    assert door.take(*bodies) == [None] * 3
    for one in SERVERS:
        door.signs[one] = lambda one=one: _assignment(one)  # type: ignore[misc]  # a default


def _other(door: Door, number: int = 2) -> Reporter:
    other = Reporter(f"kvm{number}", number)
    assert door.take(other.registration()) == [None]
    return other


def test_a_start_gate_is_told_of_its_own_servers(door: Door, node: Reporter) -> None:
    """What is not sealed yet is as what nobody signed, and nothing is written."""
    door.take(node.measured(SERVERS[0], 1, NOW))
    door.signs[SERVERS[0]] = lambda: _assignment(SERVERS[0])
    door.signs[SERVERS[1]] = lambda: _assignment(SERVERS[1], None)
    known = door.log()

    assert door.take(*[node.wanted(one) for one in SERVERS]) == [None] * 3
    assert door.given() == [("kvm1", one, one == SERVERS[0]) for one in SERVERS]
    assert door.log() == known


def test_a_start_gate_is_told_of_a_server_that_its_home_migrates_out(door: Door, node: Reporter) -> None:
    """The home is asked; a second question of the same node needs no other answer."""
    _sealed(door, node)
    other = _other(door)
    assert door.take(other.wanted(SERVERS[0])) == [None]
    assert door.given() == []
    (inquiry,) = door.inquiries("kvm1")
    assert door.take(node.leaving(inquiry, NOW)) == [None]
    assert door.take(other.wanted(SERVERS[0])) == [None]

    assert door.given() == [("kvm2", SERVERS[0], True)] * 2
    assert door.inquiries("kvm1") == []
    assert isinstance(door.log()[-1], SignLeaving)


def test_an_answer_repeats_the_nonce_of_its_question(door: Door, node: Reporter) -> None:
    """At once or after the home was asked, with the reference or without."""
    _sealed(door, node)
    other = _other(door)

    def asked(server_id: str, nonce: str) -> bytes:
        return other.seal(reports.Wanted(hostname="kvm2", server_id=server_id, nonce=nonce))

    unsigned = "0000000b-0000-4000-8000-000000000000"
    door.take(asked(SERVERS[0], "comes"), asked(SERVERS[1], "stays"), asked(unsigned, "unsigned"))
    comes, stays = door.inquiries("kvm1")
    door.take(node.leaving(comes, NOW), node.leaving(stays, NOW, leaving=False), asked(SERVERS[0], "again"))
    told = [one for one in door.said("kvm2") if isinstance(one, Incoming)]

    assert [(one.server_id, one.answers, one.assignment is not None) for one in told] == [
        (unsigned, "unsigned", False),
        (SERVERS[0], "comes", True),
        (SERVERS[1], "stays", False),
        (SERVERS[0], "again", True),
    ]


def test_where_the_home_cannot_be_asked_there_is_nothing_to_tell(door: Door, node: Reporter) -> None:
    """It is lost, or was removed: the answer is that about a server which nobody signed."""
    _sealed(door, node)
    other = _other(door)
    door.handler.handle(LoseNode(context=SYSTEM, hostname="kvm1"))
    door.take(other.wanted(SERVERS[0]))
    door.handler.handle(RemoveNode(context=RequestContext(actor="user:admin"), hostname="kvm1", signed=()))
    door.take(other.wanted(SERVERS[0]))

    assert door.given() == [("kvm2", SERVERS[0], False)] * 2


def test_nobody_but_a_registered_node_is_told(door: Door, node: Reporter) -> None:
    """Nor one that speaks in another's name."""
    report = reports.Wanted(hostname="kvm1", server_id=SERVERS[0])
    reasons = door.take(node.seal(report, STRANGER), Reporter("kvm2", 2).wanted(SERVERS[0]))

    assert reasons == ["envelope.not-verified", "node.not-found"]
    assert door.given() == []


def test_what_cannot_be_answered_holds_up_nobody(door: Door, node: Reporter) -> None:
    """The gate waits no longer; the reports beside it are taken once."""

    def away() -> Assignment:
        raise StoreUnavailable("behind")

    door.take(node.measured(SERVERS[0], 1, NOW))
    door.signs[SERVERS[0]] = away
    answers = door.take(node.wanted(SERVERS[0]), node.wanted(SERVERS[1]))

    assert answers == [None, None]
    assert door.given() == [("kvm1", SERVERS[1], False)]


def test_a_node_that_asks_for_too_many_is_told_no_more(
    door: Door, node: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a minute; that is recorded, and other nodes are not affected."""
    monkeypatch.setattr(reference_requests, "AT_MOST", 2)
    other = Reporter("kvm2", 2)
    door.take(other.registration())
    reasons = door.take(*[node.wanted(one) for one in SERVERS], other.wanted(SERVERS[0]))
    door.now += reference_requests.WITHIN
    later = door.take(node.wanted(SERVERS[2]))

    assert reasons == [None, None, "report.too-many-questions", None]
    assert later == [None]
    assert [one.reason for one in door.log() if isinstance(one, NodeReportRefused)] == [
        "report.too-many-questions"
    ]
