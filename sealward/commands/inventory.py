"""Decides what follows from the list of servers that a node reports: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealward.commands.clock import is_future, is_overtaken
from sealward.commands.membership import member
from sealward.events import node as facts

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import RecordInventory
    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def record_inventory(node: Node | None, command: RecordInventory, *, now: datetime) -> list[Event]:
    """Record which servers came and went, began and ceased to run, since the node last said which it has.

    What is older than the sweep before the last one came too late: the node has said more since. What a clock
    that is ahead dates is as of now.
    """
    node = member(node)
    taken_at = now if is_future(command.taken_at, now) else command.taken_at
    if taken_at != node.swept_before and is_overtaken(taken_at, node.swept_before):
        return []
    meta: dict[str, Any] = {
        "timestamp": now,
        "actor": command.actor,
        "node_id": node.node_id,
        "hostname": node.hostname,
    }
    found = frozenset(command.instances)
    left = sorted(node.instances - found)
    appeared = sorted(one for one in found if one not in node.instances or _turned(node, command, one[0]))
    return [
        *(
            facts.InstanceLeft(**meta, server_id=one, instance_name=name, taken_at=taken_at)
            for one, name in left
        ),
        *(
            facts.InstanceAppeared(
                **meta,
                server_id=one,
                instance_name=name,
                running=_runs(command, one),
                leaving=True if one in command.leaving else None,
            )
            for one, name in appeared
        ),
    ]


def _runs(command: RecordInventory, server_id: str) -> bool | None:
    return None if command.running is None else server_id in command.running


def _turned(node: Node, command: RecordInventory, server_id: str) -> bool:
    """Say whether a server began or ceased to run, or to leave."""
    turned = _runs(command, server_id) not in (None, server_id in node.running)
    return turned or (server_id in command.leaving) != (server_id in node.leaving)
