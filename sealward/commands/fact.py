"""Facts that commands lead to: who asked, in which task and request, about whom, and what is the kind's own.

The fields that only a kind has are checked when it is made, by its own signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import Command
    from sealward.commands.node import Node
    from sealward.commands.sign import Sign
    from sealward.events.node import NodeEvent
    from sealward.events.sign import SignEvent

OfNode = TypeVar("OfNode", bound="NodeEvent")
OfSign = TypeVar("OfSign", bound="SignEvent")


def about_node(kind: type[OfNode], node: Node, command: Command, now: datetime, **said: Any) -> OfNode:  # noqa: ANN401 - fields of any kind
    """State a fact about a node."""
    return kind(
        timestamp=now,
        actor=command.actor,
        task_id=command.task_id,
        request_id=command.request_id,
        node_id=node.node_id,
        hostname=node.hostname,
        **said,
    )


def about_sign(kind: type[OfSign], sign: Sign, command: Command, now: datetime, **said: Any) -> OfSign:  # noqa: ANN401 - as above
    """State a fact about a sign."""
    return kind(
        timestamp=now,
        actor=command.actor,
        task_id=command.task_id,
        request_id=command.request_id,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        **said,
    )
