"""A node whose clock is wrong vouches for nothing and hides nothing; once right, it is believed again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from simulation.host import Host
from simulation.truths import sign_rows
from simulation.world import World

from sealward.commands import messages as ask
from sealward.events.is_valid import IsValid

WRONG = [timedelta(minutes=2), timedelta(days=366), timedelta(minutes=-2), timedelta(days=-366)]
CASES = pytest.mark.parametrize("wrong", WRONG, ids=str)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return two nodes; what a verdict says of a moment is not held against a clock that was wrong then."""
    made = World(0, tmp_path, lambda _: None, calm=True)
    made.boot()
    made.settle()
    yield made
    made.close()


@pytest.fixture
def host(world: World) -> Host:
    """Return an active node whose first server is signed, and is true."""
    host = world.hosts[0]
    world.create(host.server_ids[0])
    world.handle(world.switch(host, ask.ActivateNode))
    turn(world, 1)
    assert reads(world, host) is IsValid.TRUE
    return host


def reads(world: World, host: Host) -> IsValid:
    """Return what the first server of a node reads."""
    (row,) = (one for one in sign_rows(world) if one.server_id == host.server_ids[0])
    return row.verdict_at(world.now).is_valid


def turn(world: World, minutes: int) -> None:
    """Let time go by, and the nodes look at everything each minute."""
    for _ in range(minutes):
        world.pass_time(60)
        for host in world.hosts:
            world.tick_at(host)
        world.settle()


@CASES
def test_what_was_wrong_and_is_right_again_is_believed_again(
    world: World, host: Host, wrong: timedelta
) -> None:
    """At its first sweep, however far and however long it was off."""
    host.skew = wrong
    turn(world, 20)
    assert reads(world, host) is not IsValid.FALSE
    host.skew = timedelta(0)
    turn(world, 2)

    assert reads(world, host) is IsValid.TRUE


@CASES
def test_a_change_is_seen_while_the_clock_is_wrong(world: World, host: Host, wrong: timedelta) -> None:
    """Its time says when it was found; that it was found comes from the order of reports."""
    host.skew = wrong
    turn(world, 1)
    host.change(host.server_ids[0], 1)
    world.settle()
    assert reads(world, host) is IsValid.FALSE

    host.skew = timedelta(0)
    turn(world, 2)
    assert reads(world, host) is IsValid.FALSE
    host.change(host.server_ids[0], 0)
    turn(world, 2)
    assert reads(world, host) is IsValid.TRUE


@CASES
def test_a_change_is_seen_after_the_clock_was_wrong(world: World, host: Host, wrong: timedelta) -> None:
    """Nothing that was said under the wrong clock outranks it."""
    host.skew = wrong
    turn(world, 3)
    host.skew = timedelta(0)
    turn(world, 2)
    host.change(host.server_ids[0], 1)
    world.settle()

    assert reads(world, host) is IsValid.FALSE


@CASES
def test_a_server_that_goes_while_the_clock_is_wrong_is_missed(
    world: World, host: Host, wrong: timedelta
) -> None:
    """The inventory counts by its order, too."""
    host.skew = wrong
    turn(world, 1)
    host.change(host.server_ids[1], None)
    turn(world, 1)

    with world.plane.projections.reading() as tables:
        known = {one.server_id for one in world.plane.projections.servers.page(tables)}
    assert host.server_ids[1] not in known


def test_a_clock_that_is_set_back_prolongs_nothing(world: World, host: Host) -> None:
    """A "true" lives by the control plane's clock."""
    host.skew = timedelta(days=-1)
    turn(world, 20)

    assert reads(world, host) is IsValid.UNKNOWN
