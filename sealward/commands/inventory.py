"""Decides what follows from the list of servers that a node reports: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sealward.commands.clock import is_future, is_overtaken
from sealward.commands.membership import member
from sealward.events import node as facts

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import RecordInventory
    from sealward.commands.node_state import Node
    from sealward.events.base import Event
    from sealward.protocol.reports import Inventory


class _Reported(NamedTuple):
    """The servers of an inventory as sets. `running` is None where the agent does not report it."""

    instances: frozenset[tuple[str, str]]
    running: frozenset[str] | None
    leaving: frozenset[str]

    def runs(self, server_id: str) -> bool | None:
        """Say whether a server runs; None where the agent does not report it."""
        return None if self.running is None else server_id in self.running


def record_inventory(node: Node | None, command: RecordInventory, *, now: datetime) -> list[Event]:
    """Record which servers came or left, and began or ceased to run or to leave, since the last inventory.

    An inventory that was taken before the sweep before the last sweep is ignored: the node has reported later
    inventories. The time of a node whose clock is ahead is replaced by `now`. Raises NotRegistered.
    """
    node = member(node)
    report = command.report
    taken_at = now if is_future(report.taken_at, now) else report.taken_at
    if taken_at != node.swept_before and is_overtaken(taken_at, node.swept_before):
        return []
    found = _sets(report)
    meta: dict[str, Any] = {
        "timestamp": now,
        "actor": command.actor,
        "node_id": node.node_id,
        "hostname": node.hostname,
    }
    left = sorted(node.instances - found.instances)
    appeared = sorted(
        one for one in found.instances if one not in node.instances or _has_turned(node, found, one[0])
    )
    return [
        *(
            facts.InstanceLeft(**meta, server_id=server_id, instance_name=name, taken_at=taken_at)
            for server_id, name in left
        ),
        *(
            facts.InstanceAppeared(
                **meta,
                server_id=server_id,
                instance_name=name,
                running=found.runs(server_id),
                leaving=True if server_id in found.leaving else None,
            )
            for server_id, name in appeared
        ),
    ]


def _sets(report: Inventory) -> _Reported:
    running = None if report.running is None else frozenset(report.running)
    return _Reported(frozenset(report.instances), running, frozenset(report.leaving))


def _has_turned(node: Node, found: _Reported, server_id: str) -> bool:
    """Say whether a server has begun or ceased to run, or to leave."""
    turned = found.runs(server_id) not in (None, server_id in node.running)
    return turned or (server_id in found.leaving) != (server_id in node.leaving)
