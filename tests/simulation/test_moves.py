"""What went wrong while servers moved, each made small and given its name."""

from __future__ import annotations

from simulation import truths
from simulation.host import Host
from simulation.steps import is_valid, order, tick
from simulation.world import World

from sealward.commands import messages as ask
from sealward.events.is_valid import IsValid


def test_a_move_of_which_a_node_was_not_told_is_asked_for_at_its_next_sweep(world: World, host: Host) -> None:
    """It knows that there is something to know, and that it was not answered: it asks again."""
    server_id, other = host.server_ids[0], world.hosts[1]
    world.move(server_id, host, other)
    for one in (host, other):
        world.notify_at(one)
        world.take_all()
        world.plane.project()
    world.plane.relay()
    world.hear_all(other)
    world.take_all()
    world.network.on_the_way.clear()
    world.settle()
    untold = is_valid(world, server_id)
    tick(world, other)

    assert untold is IsValid.UNKNOWN
    assert is_valid(world, server_id) is IsValid.TRUE


def test_what_is_asked_for_while_a_node_is_told_of_a_move_is_answered(world: World, host: Host) -> None:
    """An event that overtakes the answer makes it old: the node asks again at once."""
    server_id, other = host.server_ids[0], world.hosts[1]
    order(world, ask.RequestValidation, server_id)
    world.move(server_id, host, other)
    world.notify_at(other)
    world.take_all()
    world.plane.project()
    order(world, ask.RequestValidation, server_id)
    world.plane.relay()
    world.hear_all(other)
    world.settle()

    truths.tasks(world)
    assert is_valid(world, server_id) is IsValid.TRUE


def test_a_server_that_was_away_before_its_node_looked_is_at_home(world: World, host: Host) -> None:
    """The other node has seen it come, and sees it go; its home has missed nothing."""
    server_id, other = host.server_ids[0], world.hosts[1]
    world.move(server_id, host, other)
    host.changed.clear()
    world.notify_at(other)
    world.take_all()
    world.plane.project()
    world.move(server_id, other, host)
    host.changed.clear()
    world.settle()

    assert is_valid(world, server_id) is IsValid.TRUE


def test_a_server_that_comes_from_a_node_that_is_switched_off_is_looked_at(world: World, host: Host) -> None:
    """There nobody vouched for it; here somebody does, at once."""
    server_id, other = host.server_ids[0], world.hosts[1]
    world.handle(world.switch(other, ask.ActivateNode))
    world.handle(world.switch(host, ask.DeactivateNode))
    world.settle()
    before = is_valid(world, server_id)
    world.pass_time(10)
    world.move(server_id, host, other)
    world.settle()

    assert (before, is_valid(world, server_id)) == (IsValid.UNKNOWN, IsValid.TRUE)
