"""What start gates are told of servers that are not their node's: registered ones alone, and in time."""

from __future__ import annotations

import msgspec
import pytest
from door import SERVERS, STRANGER, Door
from reporter import Reporter

from sealward.events.node import NodeReportRefused
from sealward.events.store import StoreUnavailable
from sealward.intake import introductions
from sealward.protocol import reports


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
