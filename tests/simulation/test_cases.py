"""What went wrong in histories, each made small and given its name."""

from __future__ import annotations

import pytest
from simulation import truths
from simulation.host import REWRITTEN, VERSIONS, Host
from simulation.messages import apart, said
from simulation.network import Weather
from simulation.steps import is_valid, order, tick
from simulation.world import World

from sealward.commands import messages as ask
from sealward.events.is_valid import IsValid
from sealward.events.store.store import StoreUnavailable
from sealward.node_agent.agent import ANEW
from sealward.protocol import reports

LOSES_REPORTS = Weather(lost_reports=1.0)
LOSES_EVENTS = Weather(lost_events=1.0)


def test_what_happens_while_the_answer_is_on_its_way_is_not_missed(world: World, host: Host) -> None:
    """An agent that begins gets an event before it is told what was before it."""
    host.boot()
    world.take_all()
    order(world, ask.UpdateSign, host.server_ids[0])
    world.plane.relay()
    world.hear_all(host)
    world.settle()

    truths.orders(world)


def test_a_late_answer_does_not_take_an_agent_back(world: World, host: Host) -> None:
    """Of two registrations the first is answered last: what happened between them stays known."""
    host.boot()
    world.take_all()
    late = world.network.on_the_way.pop()
    world.now_registers(host)
    order(world, ask.RequestValidation, host.server_ids[0])
    world.settle()
    order(world, ask.UpdateSign, host.server_ids[0])
    world.network.weather = LOSES_REPORTS
    world.plane.relay()
    world.hear_all(host)
    world.network.weather = Weather()
    world.network.on_the_way.append(late)
    world.settle()
    tick(world, host)

    truths.orders(world)


def test_a_difference_whose_report_was_lost_is_said_again(world: World, host: Host) -> None:
    """What the control plane has not recorded was not said."""
    world.network.weather = LOSES_REPORTS
    host.change(host.server_ids[0], 1)
    world.settle()
    world.network.weather = Weather()
    tick(world, host)

    assert is_valid(world, host.server_ids[0]) is IsValid.FALSE


def test_an_equal_measurement_whose_report_was_lost_is_said_again(world: World, host: Host) -> None:
    """Vouching does not end a false, so a measurement must."""
    host.change(host.server_ids[0], 1)
    world.settle()
    world.network.weather = LOSES_REPORTS
    host.change(host.server_ids[0], 0)
    world.settle()
    world.network.weather = Weather()
    tick(world, host)

    assert is_valid(world, host.server_ids[0]) is IsValid.TRUE


@pytest.mark.parametrize("kind", [ask.UpdateSign, ask.RequestValidation])
def test_an_order_whose_report_was_lost_is_carried_out_again(
    world: World, host: Host, kind: type[ask.UpdateSign | ask.RequestValidation]
) -> None:
    """It stays open until it is heard that it is done."""
    world.network.weather = LOSES_REPORTS
    order(world, kind, host.server_ids[0])
    world.settle()
    world.network.weather = Weather()
    tick(world, host)

    truths.orders(world)
    truths.tasks(world)


def test_a_lost_switch_is_answered_again(world: World, host: Host) -> None:
    """Also one that switched validation off, after which nothing is swept."""
    world.network.weather = LOSES_REPORTS
    world.handle(world.switch(host, ask.DeactivateNode))
    world.settle()
    world.network.weather = Weather()
    tick(world, host)

    truths.tasks(world)


def test_an_event_that_the_bus_lost_is_made_up_for(world: World, host: Host) -> None:
    """An agent has itself told everything anew every so often."""
    world.network.weather = LOSES_EVENTS
    order(world, ask.UpdateSign, host.server_ids[0])
    world.settle()
    world.network.weather = Weather()
    for _ in range(ANEW):
        tick(world, host)

    truths.orders(world)


def test_being_told_anew_is_no_reason_to_look(world: World) -> None:
    """On a node that nobody has switched on or off, a true is not prolonged by it."""
    host = world.hosts[0]
    world.create(host.server_ids[0])
    world.settle()
    before = [row.verdict for row in truths.sign_rows(world)]
    for _ in range(ANEW):
        tick(world, host)

    assert [row.verdict for row in truths.sign_rows(world)] == before


def test_an_inventory_that_comes_late_takes_no_server_away(world: World, host: Host) -> None:
    """Two sweeps later it is old, also if messages in between were lost."""
    left = host.server_ids[1]
    host.change(left, None)
    world.notify_at(host)
    (late,) = [one for body in world.network.inbox for one in apart(body, world.keys, reports.Inventory)]
    world.settle()
    host.change(left, 0)
    tick(world, host)
    tick(world, host)
    world.plane.take(late)
    world.settle()

    truths.inventory(world)


def test_a_node_is_not_told_what_is_behind_the_log(world: World, host: Host) -> None:
    """What happened between the rows and the log would reach it neither in the answer nor as an event."""
    order(world, ask.UpdateSign, host.server_ids[0])
    with pytest.raises(StoreUnavailable):
        world.plane.desired_of(host.hostname)
    world.plane.project()

    assert world.plane.desired_of(host.hostname).position == world.plane.store.head()


def test_servers_that_another_libvirt_describes_otherwise_cost_no_report_each(
    world: World, host: Host
) -> None:
    """Once said, the sweep withholds them all."""
    host.lose_libvirt(gone=False, version=VERSIONS[1])
    host.change(host.server_ids[0], REWRITTEN)
    world.settle()
    world.pass_time(60)
    world.take_all()
    world.tick_at(host)

    kinds = [type(one) for body in world.network.inbox for one in said(body)]
    assert kinds == [reports.Inventory, reports.Software, reports.Sweep]
    world.settle()
    assert is_valid(world, host.server_ids[0]) is IsValid.UNKNOWN


def test_an_answer_to_the_agent_before_is_none_to_this_one(world: World, host: Host) -> None:
    """What that one heard after it had asked is gone with it."""
    host.boot()
    world.take_all()
    late = world.network.on_the_way.pop()
    order(world, ask.UpdateSign, host.server_ids[0])
    world.plane.relay()
    world.hear_all(host)
    host.boot()
    world.network.on_the_way.append(late)
    world.network.arrive()
    world.hear_all(host)
    world.settle()

    truths.orders(world)


def test_a_server_that_is_back_before_its_node_looks_is_true_at_once(world: World, host: Host) -> None:
    """A sweep missed it: it is its own trouble, and over with it, without another sweep."""
    server_id = host.server_ids[0]
    host.change(server_id, None)
    host.changed.clear()
    tick(world, host)
    gone = is_valid(world, server_id)
    host.change(server_id, 0)
    world.settle()

    assert (gone, is_valid(world, server_id)) == (IsValid.UNKNOWN, IsValid.TRUE)


def test_a_key_that_is_replaced_while_everything_is_on_its_way(world: World, host: Host) -> None:
    """What was sent under the old key is refused, and made up for: a change is found, an order sealed."""
    host.change(host.server_ids[0], 1)
    world.create(host.server_ids[1])
    world.rekey(host)
    world.settle()

    assert is_valid(world, host.server_ids[0]) is IsValid.FALSE
    assert is_valid(world, host.server_ids[1]) is IsValid.TRUE


def test_a_key_that_is_replaced_unheard(world: World, host: Host) -> None:
    """The event was lost: asked with its old key in vain, the agent asks with its next one."""
    world.network.weather = LOSES_EVENTS
    world.rekey(host)
    world.settle()
    world.network.weather = Weather()
    host.change(host.server_ids[0], 1)
    for _ in range(ANEW + 2):
        tick(world, host)

    assert is_valid(world, host.server_ids[0]) is IsValid.FALSE
