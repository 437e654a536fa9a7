"""On which node a signed server is, and how its sign gets there: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sealward.commands.errors import MovedAway, NotSigned, WrongNode
from sealward.events.sign import SignMoved

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import MoveSign
    from sealward.commands.node import Node
    from sealward.commands.sign import Sign
    from sealward.events.base import Event


def is_now_at(server_id: str, node: Node, before: Node, home: Node | None) -> bool:
    """Say whether a server that is on `node` is to count as there, and no longer as at `home`.

    `before` is the node as it was before it said so. While a server is on both nodes it counts as where it
    runs; if it seems to run on both, as where it began to run last, so that it does not go to and fro. One
    that is switched off counts as elsewhere only when its home no longer has it.
    """
    runs_at_home = home is not None and not home.lost and server_id in home.running
    if server_id in node.running:
        return server_id not in before.running or not runs_at_home
    return home is None or all(one != server_id for one, _ in home.instances)


def gone(before: Node, node: Node) -> list[str]:
    """Return the servers that a node has, or runs, no longer."""
    had = {server_id for server_id, _ in before.instances - node.instances}
    return sorted(had | (before.running - node.running))


def move_sign(sign: Sign | None, command: MoveSign, *, now: datetime) -> list[Event]:
    """Let the sign follow its server to another node. Raises NotSigned."""
    if sign is None:
        raise NotSigned
    if sign.node_id == command.node_id:
        return []
    moved = SignMoved(
        timestamp=now,
        actor=command.actor,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=command.node_id,
        hostname=command.hostname,
        instance_name=command.instance_name,
        from_node_id=sign.node_id,
        from_hostname=sign.hostname,
        generation=sign.sealed,
    )
    return [moved]


def moved(sign: Sign, event: SignMoved) -> Sign:
    """Return the sign as it is on its new node."""
    return replace(
        sign,
        node_id=event.node_id,
        hostname=event.hostname,
        instance_name=event.instance_name,
        moved_from=event.from_node_id,
        is_unseen=True,
    )


def refuse_others(sign: Sign, node_id: int) -> None:
    """Raise WrongNode, or MovedAway, for a node that the server is not on."""
    if node_id != sign.node_id:
        raise MovedAway if node_id == sign.moved_from else WrongNode
