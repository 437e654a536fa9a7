"""Which servers a node has: many facts about them folded in one go, and looked up by their ids.

Folded one by one, each fact copied all servers of its node: an inventory of 60,000 servers took minutes.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealward.events.node import InstanceAppeared, InstanceLeft

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sealward.commands.node import Node

LOOKED_UP: Final = 16
"""Inventories whose names are remembered, each of one node at one moment."""


def fold(node: Node, events: Iterable[InstanceAppeared | InstanceLeft]) -> Node:
    """Return the node after facts about its servers: one pass over them, however many facts there are."""
    instances, running, leaving = set(node.instances), set(node.running), set(node.leaving)
    for event in events:
        server_id = event.server_id
        if isinstance(event, InstanceLeft):
            instances.discard((server_id, event.instance_name))
            running.discard(server_id)
            leaving.discard(server_id)
            continue
        instances.add((server_id, event.instance_name))
        if event.running is not None:
            (running.add if event.running else running.discard)(server_id)
        (leaving.add if event.leaving else leaving.discard)(server_id)
    return replace(
        node, instances=frozenset(instances), running=frozenset(running), leaving=frozenset(leaving)
    )


@functools.lru_cache(maxsize=LOOKED_UP)
def names(instances: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    """Return the instance name of each server by its id."""
    return dict(instances)
