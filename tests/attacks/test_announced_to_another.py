"""A node asks for the references of servers that it does not get: each migration has one destination."""

from __future__ import annotations

import pytest
from claimed import SECOND, SERVER, Fleet
from door import SERVERS

from sealward.events.is_valid import IsValid
from sealward.events.node import NodeReportRefused
from sealward.events.sign import SignLeaving, SignStayed
from sealward.intake.registration import reference_requests
from sealward.protocol.telling import Inquiry


@pytest.fixture
def fleet() -> Fleet:
    """Return the fleet, all of whose verdicts are true."""
    made = Fleet()
    assert {made.verdict(one).is_valid for one in SERVERS} == {IsValid.TRUE}
    return made


def test_nobody_is_given_the_reference_of_another_nodes_server(fleet: Fleet) -> None:
    """Its home says that it does not leave; the answer is that about a server which nobody signed."""
    unsigned = "00000000-0000-0000-0000-0000000000ff"
    fleet.say(fleet.liar.wanted(SERVER), fleet.liar.wanted(unsigned))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now, leaving=False))

    assert fleet.given() == [("kvm2", unsigned, False), ("kvm2", SERVER, False)]
    assert [one.reason for one in fleet.log() if isinstance(one, NodeReportRefused)] == ["report.not-coming"]


def test_what_is_claimed_is_given_to_nobody(fleet: Fleet) -> None:
    """Not to the liar, not to a third, not even to the destination of an announced migration."""
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now))
    fleet.claim()
    fleet.sent.clear()
    for node in (fleet.liar, fleet.third):
        fleet.take(node.wanted(SERVER))

    assert fleet.inquiries("kvm1") == []
    assert [one for one in fleet.given() if one[2]] == []


def test_an_announced_migration_has_one_destination(fleet: Fleet) -> None:
    """Who asks second is given nothing, is not asked for, and is on record: the announcement is contested."""
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now))
    second = fleet.take(fleet.liar.wanted(SERVER))

    assert second == ["report.announced-to-another"]
    assert fleet.inquiries("kvm1") == []
    assert fleet.given() == [("kvm3", SERVER, True), ("kvm2", SERVER, False)]
    said = [(one.to_hostname, one.contested) for one in fleet.log() if isinstance(one, SignLeaving)]
    assert said == [("kvm3", None), ("kvm2", True)]


def test_of_two_that_ask_at_once_one_is_given_the_reference(fleet: Fleet) -> None:
    """Both are asked for before the home has answered either."""
    fleet.say(fleet.third.wanted(SERVER), fleet.liar.wanted(SERVER))
    for one in fleet.inquiries("kvm1"):
        fleet.say(fleet.home.leaving(one, fleet.now))

    assert fleet.given() == [("kvm3", SERVER, True), ("kvm2", SERVER, False)]
    said = [(one.to_hostname, one.contested) for one in fleet.log() if isinstance(one, SignLeaving)]
    assert said == [("kvm3", None), ("kvm2", True)]
    refused = [one for one in fleet.log() if isinstance(one, NodeReportRefused)]
    assert [(one.hostname, one.reason) for one in refused] == [("kvm2", "report.announced-to-another")]


def test_only_the_home_announces(fleet: Fleet) -> None:
    """Another's word is none: with the home's own question, a guessed one, one that was answered."""
    fleet.say(fleet.liar.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.liar.leaving(inquiry, fleet.now), fleet.third.leaving(inquiry, fleet.now))
    fleet.say(fleet.liar.leaving(Inquiry(SERVER, "guessed"), fleet.now))
    fleet.say(fleet.home.leaving(inquiry, fleet.now, leaving=False))
    fleet.say(fleet.home.leaving(inquiry, fleet.now))

    assert fleet.kinds(SignLeaving) == []
    assert [one for one in fleet.given() if one[2]] == []


def test_an_answer_that_comes_late_announces_nothing(fleet: Fleet) -> None:
    """The start gate has decided long before."""
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.now += reference_requests.ASKED_FOR
    fleet.say(fleet.home.leaving(inquiry, fleet.now))

    assert fleet.kinds(SignLeaving) == []


def test_an_announcement_ends_with_the_migration(fleet: Fleet) -> None:
    """It failed, and the server runs on. An older inventory of the home ends nothing."""
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now))
    looked_at = fleet.now - SECOND
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS, taken_at=looked_at - SECOND))
    before = fleet.kinds(SignStayed)
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS, leaving=[SERVER], taken_at=looked_at + SECOND))
    during = fleet.kinds(SignStayed)
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS, taken_at=looked_at + 2 * SECOND))
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now, leaving=False))

    assert (before, during, fleet.kinds(SignStayed)) == ([], [], [SignStayed])
    assert [one for one in fleet.given() if one[2]] == [("kvm3", SERVER, True)]


def test_a_node_that_asks_for_many_is_asked_for_no_more(fleet: Fleet) -> None:
    """Each question costs another node an answer."""
    refused: list[str | None] = []
    for number in range(reference_requests.MOST_REFUSED + 1):
        fleet.now += reference_requests.ASKED_FOR / 8
        refused += fleet.take(fleet.liar.wanted(SERVERS[number % 3]))
        for one in fleet.inquiries("kvm1"):
            fleet.take(fleet.home.leaving(one, fleet.now, leaving=False))

    asked = [one for one in fleet.log() if isinstance(one, NodeReportRefused)]
    assert len(asked) < reference_requests.MOST_REFUSED
    assert [one for one in fleet.given() if one[2]] == []
    del refused


def test_a_server_goes_to_the_announced_destination_and_the_liar_waits_in_vain(fleet: Fleet) -> None:
    """It claims the server before and after: the verdict is unknown, the sign at the true destination."""
    fleet.claim()
    fleet.say(fleet.liar.inventory(running=()))
    fleet.say(fleet.third.wanted(SERVER))
    (inquiry,) = fleet.inquiries("kvm1")
    fleet.say(fleet.home.leaving(inquiry, fleet.now))
    fleet.claim()
    fleet.say(fleet.third.inventory(SERVER, running=[SERVER]))
    fleet.say(fleet.home.inventory(*SERVERS[1:], running=SERVERS[1:]))

    assert fleet.sign(SERVER).node_id == fleet.third.node_id
    assert fleet.verdict(SERVER).is_valid is IsValid.UNKNOWN
    assert {one.found for one in fleet.verdict(SERVER).findings} == {"kvm2"}
