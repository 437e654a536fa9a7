"""A node asks for a server in the very moment in which another node is to receive it by a migration.

The home announces that the server leaves, and cannot say where to: libvirt does not tell. The first node that
asks is named; a second one that asks contests that. The sign goes to nobody on a contested announcement.
"""

from __future__ import annotations

import itertools

import pytest
from amounts import examples
from claimed import SERVER, Fleet
from door import SERVERS
from hypothesis import given, settings
from hypothesis import strategies as st

from sealward.commands.moves.location import AGREED
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignLeaving, SignMoved

REST = SERVERS[1:]


@pytest.fixture
def fleet() -> Fleet:
    """Return the fleet, all of whose verdicts are true."""
    return Fleet()


def asks(fleet: Fleet) -> None:
    """Have the liar ask, and the home say that the server leaves."""
    fleet.take(fleet.liar.wanted(SERVER))
    answers(fleet)


def answers(fleet: Fleet) -> None:
    """Have the home answer each inquiry: libvirt migrates the server out."""
    for one in fleet.inquiries("kvm1"):
        fleet.take(fleet.home.leaving(one, fleet.now))


def prepared(fleet: Fleet) -> None:
    """Have the true destination say that it has the server, paused for a migration."""
    fleet.say(fleet.third.inventory(SERVER, running=(), leaving=[SERVER]))
    answers(fleet)


def runs(fleet: Fleet) -> None:
    """Have the liar say that it runs the server."""
    fleet.say(fleet.liar.inventory(SERVER, running=[SERVER]))
    answers(fleet)


def stops(fleet: Fleet) -> None:
    """Have the home say that the server is paused at the end of its migration."""
    fleet.say(fleet.home.inventory(*SERVERS, running=REST, leaving=[SERVER]))


def arrives(fleet: Fleet) -> None:
    """Have the true destination say that the server runs there, and the home that it is gone."""
    fleet.say(fleet.third.inventory(SERVER, running=[SERVER]))
    fleet.say(fleet.home.inventory(*REST, running=REST))


def test_who_asks_and_says_at_once_that_it_runs_the_server_does_not_get_it(fleet: Fleet) -> None:
    """The home still runs it. When the true destination asks, too, the announcement counts for nobody."""
    asks(fleet)
    runs(fleet)
    at_once = fleet.sign(SERVER).node_id
    prepared(fleet)
    stops(fleet)
    paused = fleet.sign(SERVER).node_id
    arrives(fleet)

    assert (at_once, paused) == (1, 1)
    assert fleet.sign(SERVER).node_id != fleet.liar.node_id
    assert fleet.verdict(SERVER).is_valid is IsValid.UNKNOWN
    assert {one.found for one in fleet.verdict(SERVER).findings} >= {"kvm2"}
    said = [(one.to_hostname, one.contested) for one in fleet.log() if isinstance(one, SignLeaving)]
    assert said == [("kvm2", None), ("kvm3", True)]


def test_who_only_asks_changes_nothing_for_the_true_destination(fleet: Fleet) -> None:
    """Nobody else says that it runs the server: the sign goes there, and nothing is unknown meanwhile."""
    asks(fleet)
    prepared(fleet)
    stops(fleet)
    paused = fleet.verdict(SERVER).is_valid
    arrives(fleet)

    assert paused is IsValid.TRUE
    assert fleet.sign(SERVER).node_id == fleet.third.node_id
    assert [one.grounds for one in fleet.log() if isinstance(one, SignMoved)] == ["left"]
    assert fleet.verdict(SERVER).is_valid is IsValid.TRUE


def test_who_asks_after_the_true_destination_gets_nothing(fleet: Fleet) -> None:
    """The reference went to the destination; the sign follows the server."""
    fleet.say(fleet.third.wanted(SERVER))
    answers(fleet)
    fleet.take(fleet.liar.wanted(SERVER))
    prepared(fleet)
    stops(fleet)
    arrives(fleet)

    assert fleet.given() == [("kvm3", SERVER, True), ("kvm2", SERVER, False)]
    assert fleet.sign(SERVER).node_id == fleet.third.node_id


def test_once_contested_the_reference_goes_to_nobody(fleet: Fleet) -> None:
    """Also to the first one, when it asks again."""
    asks(fleet)
    prepared(fleet)
    fleet.take(fleet.liar.wanted(SERVER), fleet.third.wanted(SERVER))

    assert fleet.given() == [("kvm2", SERVER, True), ("kvm2", SERVER, False), ("kvm3", SERVER, False)]


def test_a_long_migration_waits_for_its_destination(fleet: Fleet) -> None:
    """For longer than a destination is awaited: while the home runs the server nobody gets it by a claim."""
    prepared(fleet)
    fleet.say(fleet.home.inventory(*SERVERS, running=SERVERS, leaving=[SERVER]))
    fleet.now += 30 * AGREED
    runs(fleet)

    assert fleet.sign(SERVER).node_id == fleet.home.node_id
    stops(fleet)
    arrives(fleet)
    assert fleet.sign(SERVER).node_id == fleet.third.node_id


@pytest.mark.parametrize("order", list(itertools.permutations((asks, runs, prepared))))
def test_in_no_order_is_the_sign_the_liars(fleet: Fleet, order: tuple[object, ...]) -> None:
    """In each order of the messages that come before the server stops at its home."""
    for step in (*order, stops, runs, arrives):
        assert callable(step)
        step(fleet)
        assert fleet.sign(SERVER).node_id != fleet.liar.node_id


LIES = st.lists(st.sampled_from((asks, runs)), max_size=5)


@settings(max_examples=examples(60), deadline=None)
@given(LIES, LIES)
def test_no_history_gives_the_sign_to_who_asks(before: list[object], after: list[object]) -> None:
    """However often it asks and claims the server, before the destination is prepared and after."""
    fleet = Fleet()
    for step in (*before, prepared, *after, stops, *after, arrives):
        assert callable(step)
        step(fleet)
        assert fleet.sign(SERVER).node_id != fleet.liar.node_id
