"""A node asks about the servers of others again and again: homes are asked little, and little is recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from door import SERVERS, Door
from reporter import Reporter

from sealward.events.node import NodeReportRefused
from sealward.events.store import store as stores
from sealward.intake.registration import reference_requests
from sealward.protocol.desired import Assignment

SERVER = SERVERS[0]
SECOND = timedelta(seconds=1)


class Fleet(Door):
    """A home with three signed servers, and a node beside it that asks."""

    def __init__(self) -> None:
        super().__init__(stores.in_memory())
        self.home, self.liar = Reporter("kvm1", 1), Reporter("kvm2", 2)
        self.say(self.home.registration(), self.home.inventory(*SERVERS, running=SERVERS))
        self.say(self.liar.registration())
        for number, one in enumerate(SERVERS, 1):
            self.handler.handle(self.home.order(one))
            self.now += SECOND
            self.take(self.home.measured(one, number, self.now))
            self.signs[one] = lambda number=number, one=one: Assignment(  # type: ignore[misc]  # a default
                number, one, 1, 1, "true", (), "{}"
            )

    def say(self, *bodies: bytes) -> None:
        """Have reports taken, none of which is refused."""
        self.now += SECOND
        assert self.take(*bodies) == [None] * len(bodies)

    def refused(self) -> int:
        """Return how many refusals are on record."""
        return sum(isinstance(one, NodeReportRefused) for one in self.log())


def test_a_burst_of_questions_about_one_server_is_one_question() -> None:
    """Nine hundred in one moment; once it is answered, nobody is asked for a while."""
    fleet = Fleet()
    questions = [fleet.liar.wanted(SERVER) for _ in range(900)]
    for at in range(0, 900, 300):
        fleet.take(*questions[at : at + 300])
    (asked,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(asked, fleet.now, leaving=False))
    fleet.take(fleet.liar.wanted(SERVER))

    assert fleet.inquiries("kvm1") == []
    assert fleet.refused() == 1
    assert fleet.given() == [("kvm2", SERVER, False)] * 2


def test_a_question_that_was_lost_is_asked_again() -> None:
    """The home was not told: a second later it is asked anew, and its answer counts."""
    fleet = Fleet()
    fleet.say(fleet.liar.wanted(SERVER))
    fleet.inquiries("kvm1")
    fleet.now += SECOND
    fleet.say(fleet.liar.wanted(SERVER))
    (asked,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(asked, fleet.now))

    assert fleet.given() == [("kvm2", SERVER, True)]


def test_a_migration_that_is_said_again_and_again_is_asked_about_once() -> None:
    """Two hundred inventories in one moment; in every second one the servers leave."""
    fleet = Fleet()
    for number in range(200):
        leaving = () if number % 2 else SERVERS
        fleet.take(fleet.liar.inventory(*SERVERS, running=(), leaving=leaving))

    assert len(fleet.inquiries("kvm1")) == len(SERVERS)


def test_migrations_that_are_said_for_minutes_cost_homes_no_more_than_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit of questions in a minute is for all reasons of a node to ask."""
    monkeypatch.setattr(reference_requests, "AT_MOST", 20)
    fleet = Fleet()
    for number in range(50):
        leaving = () if number % 2 else SERVERS
        fleet.say(fleet.liar.inventory(*SERVERS, running=(), leaving=leaving))

    assert len(fleet.inquiries("kvm1")) <= 20


def test_refusals_of_many_servers_are_recorded_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The questions were asked before the first of them was answered."""
    monkeypatch.setattr(reference_requests, "MOST_REFUSED", 2)
    fleet = Fleet()
    fleet.take(*[fleet.liar.wanted(one) for one in SERVERS])
    asked = fleet.inquiries("kvm1")
    for one in asked:
        fleet.say(fleet.home.leaving(one, fleet.now, leaving=False))

    assert len(asked) == len(SERVERS)
    assert fleet.refused() == 2
