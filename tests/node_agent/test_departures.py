"""What a node says of servers that leave it: at once, as libvirt has it, until the migration has ended."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import cast

from factories import NOON, SERVER

from sealward.node_agent.hypervisor.departures import LOOK_AGAIN, Departures
from sealward.node_agent.hypervisor.domains import Departure
from sealward.node_agent.hypervisor.failures import DomainLocked
from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.protocol import reports
from sealward.protocol.telling import Inquiry

ASKED = Inquiry(SERVER, "nonce")


class Node:
    """A node whose libvirt says of a server what it is told to."""

    def __init__(self) -> None:
        self.found: Departure | None = Departure(has=True)
        self.said: list[reports.Leaving] = []
        self.woken: list[float] = []
        seconds = itertools.count()
        self.departures = Departures(
            cast("Hypervisor", self),
            "kvm1",
            moment=lambda: NOON + timedelta(seconds=next(seconds)),
            send=lambda one: self.said.append(cast("reports.Leaving", one)),
            wake=self.woken.append,
        )

    def departure(self, server_id: str) -> Departure:
        """Stand in for the hypervisor."""
        assert server_id == SERVER
        if self.found is None:
            raise DomainLocked
        return self.found


def test_a_question_is_answered_as_libvirt_has_it() -> None:
    """With its nonce, and the moment before libvirt was asked."""
    node = Node()
    expected: list[tuple[bool, bool, datetime]] = []
    for second, (has, leaving) in enumerate(((True, False), (True, True), (False, False))):
        node.found = Departure(has, leaving, is_under_way=leaving)
        node.departures.take(ASKED)
        expected.append((has, leaving, NOON + timedelta(seconds=second)))

    assert [(one.has, one.leaving, one.looked_at) for one in node.said] == expected
    assert {(one.nonce, one.server_id, one.hostname) for one in node.said} == {("nonce", SERVER, "kvm1")}


def test_without_an_answer_of_libvirt_nothing_is_said() -> None:
    """The start gate that asks goes by its policy about servers of which it does not know."""
    node = Node()
    node.found = None
    node.departures.take(ASKED)

    assert node.said == []


def test_what_was_announced_is_leaving_until_the_migration_has_ended() -> None:
    """It is looked at again every second, and then no more."""
    node = Node()
    node.found = Departure(has=True, leaving=True, is_under_way=True)
    node.departures.take(ASKED)
    during = node.departures.leaving(), node.departures.any, list(node.woken)
    node.found = Departure(has=True)
    after = node.departures.leaving(), node.departures.any, list(node.woken)

    assert during == (frozenset({SERVER}), True, [LOOK_AGAIN, LOOK_AGAIN])
    assert after == (frozenset(), False, [LOOK_AGAIN, LOOK_AGAIN])


def test_what_nobody_asked_about_is_not_looked_at() -> None:
    """A node with a thousand servers asks libvirt for no job that nobody waits for."""
    node = Node()
    node.found = None

    assert node.departures.leaving() == frozenset()
