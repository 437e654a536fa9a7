"""Who counts as a node, and which key is its own: pure functions over a node's stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.errors import NotRegistered
from sealward.events import node as facts
from sealward.events.keyid import keyid
from sealward.events.keys import public_key

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import ReplaceKey
    from sealward.commands.node import Node
    from sealward.events.base import Event


def replace_key(node: Node | None, command: ReplaceKey, *, now: datetime) -> list[Event]:
    """Have another key count as the node's, and the one before no longer; the same again is no news.

    What the one before has signed stays as it is: references are countersigned, and the log names both keys.
    Raises NotRegistered, KeyRefused.
    """
    if node is None:
        raise NotRegistered
    if command.public_key == node.public_key:
        return []
    replaced = facts.NodeKeyReplaced(
        timestamp=now,
        actor=command.actor,
        task_id=command.task_id,
        request_id=command.request_id,
        node_id=node.node_id,
        hostname=node.hostname,
        public_key=command.public_key,
        keyid=keyid(public_key(command.public_key)),
        replaced=keyid(public_key(node.public_key)),
    )
    return [replaced]
