"""What went wrong while servers were sealed, each made small and given its name."""

from __future__ import annotations

from simulation import truths
from simulation.host import Host
from simulation.messages import apart
from simulation.steps import is_valid, order
from simulation.world import World

from sealward.commands import messages as ask
from sealward.events.is_valid import IsValid
from sealward.events.sign import SignValidated
from sealward.protocol import reports


def sealed_unheard(world: World, host: Host) -> str:
    """Sign another server of a node, which does not hear that it is sealed before the world settles."""
    server_id = host.server_ids[1]
    world.create(server_id)
    world.plane.relay()
    world.hear_all(host)
    world.take_all()
    return server_id


def test_a_seal_that_was_not_heard_leaves_nothing_to_vouch_for(world: World, host: Host) -> None:
    """While another reference may be in force, a sweep says nothing about servers equal to the old one."""
    server_id = host.server_ids[0]
    host.change(server_id, 1)
    order(world, ask.UpdateSign, server_id)
    world.plane.relay()
    world.hear_all(host)
    world.take_all()
    world.plane.project()
    world.pass_time(1)
    host.change(server_id, 0)
    world.pass_time(60)
    world.tick_at(host)
    world.network.inbox = [
        one for body in world.network.inbox for one in apart(body, world.keys, reports.Sweep)
    ]
    world.take_all()
    world.plane.project()

    truths.always(world)
    world.settle()
    assert is_valid(world, server_id) is IsValid.FALSE


def test_a_resign_that_cannot_be_measured_yet_is_tried_again(world: World, host: Host) -> None:
    """Also on a server that reads "false": the order is done when it is sealed, not when that stays."""
    server_id = host.server_ids[0]
    host.change(server_id, 1)
    world.settle()
    host.change(server_id, None)
    order(world, ask.UpdateSign, server_id)
    world.settle()
    (state,) = [row[2] for row in truths.task_rows(world) if row[1] == "sealward.sign.update"]
    assert (state, is_valid(world, server_id)) == ("RETRY", IsValid.FALSE)

    host.change(server_id, 1)
    world.settle()
    truths.tasks(world)
    assert is_valid(world, server_id) is IsValid.TRUE


def test_what_is_about_to_be_sealed_is_validated_then(world: World) -> None:
    """Asked at once after the order: the answer is a verdict, and not that nothing is sealed."""
    host = world.hosts[0]
    world.create(host.server_ids[0])
    order(world, ask.RequestValidation, host.server_ids[0])
    world.settle()

    states = {row[2] for row in truths.task_rows(world)}
    assert states == {"SUCCESS"}


def test_a_libvirt_that_goes_while_a_seal_is_on_its_way_leaves_nothing_true(world: World, host: Host) -> None:
    """The sweep that said so knew nothing of that server yet."""
    server_id = sealed_unheard(world, host)
    host.lose_libvirt(gone=True, version="")
    world.notify_at(host)
    world.settle()

    assert is_valid(world, server_id) is IsValid.UNKNOWN


def test_a_server_that_starts_while_its_seal_is_on_its_way_stays_true(world: World, host: Host) -> None:
    """A start may hold the domain locked for longer than a look may take: libvirt tells when that is over."""
    server_id = sealed_unheard(world, host)
    host.domains.locked.add(server_id)
    world.settle()
    host.domains.locked.clear()
    host.changed.add(None)
    world.settle()

    log = [one.event for one in world.plane.store.follow(0)]
    said = [one for one in log if isinstance(one, SignValidated) and one.server_id == server_id]
    assert {one.is_valid for one in said} == {IsValid.TRUE}


def test_a_seal_on_its_way_past_a_switch_off_and_on_is_vouched_for(world: World, host: Host) -> None:
    """The first sweep after that cannot: another reference may be in force. Hearing which, the node can."""
    server_id = host.server_ids[0]
    order(world, ask.UpdateSign, server_id)
    world.plane.relay()
    world.hear_all(host)
    for kind in (ask.DeactivateNode, ask.ActivateNode):
        world.handle(world.switch(host, kind))
    world.plane.relay()
    world.hear_all(host)
    world.settle()
    assert is_valid(world, server_id) is IsValid.TRUE
