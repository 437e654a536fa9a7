"""What a case does to a world, and asks of it."""

from __future__ import annotations

from simulation import truths
from simulation.host import Host
from simulation.world import World

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.events.is_valid import IsValid


def order(world: World, kind: type[ask.UpdateSign | ask.RequestValidation], server_id: str) -> None:
    """Order something about a server."""
    world.handle(
        kind(context=RequestContext(actor="user:admin", task_id=world.task_id()), server_id=server_id)
    )


def is_valid(world: World, server_id: str) -> IsValid:
    """Return what is known of a server."""
    world.plane.project()
    return next(row for row in truths.sign_rows(world) if row.server_id == server_id).verdict.is_valid


def tick(world: World, host: Host) -> None:
    """Let a node look at everything, and all that follows happen."""
    world.pass_time(60)
    world.tick_at(host)
    world.settle()
