"""Makes the events that commands lead to: the fields of the command's context, and of the sign or node.

The fields of a single event type are passed through to the type's own constructor, which checks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import Command
    from sealward.commands.node_state import Node
    from sealward.commands.sign_state import Sign
    from sealward.events.node import NodeEvent
    from sealward.events.sign import SignEvent

OfNode = TypeVar("OfNode", bound="NodeEvent")
OfSign = TypeVar("OfSign", bound="SignEvent")


def asked_by(command: Command) -> dict[str, Any]:
    """Return the fields of an event that come from the command's context: actor, task, request, origin."""
    context = command.context
    return {
        "actor": context.actor,
        "task_id": context.task_id,
        "request_id": context.request_id,
        "origin": context.origin,
        "global_request_id": context.global_request_id,
    }


def about_node(kind: type[OfNode], node: Node, command: Command, now: datetime, **said: Any) -> OfNode:  # noqa: ANN401 - fields of any kind
    """Return an event about a node."""
    return kind(
        timestamp=now,
        **asked_by(command),
        node_id=node.node_id,
        hostname=node.hostname,
        **said,
    )


def about_sign(kind: type[OfSign], sign: Sign, command: Command, now: datetime, **said: Any) -> OfSign:  # noqa: ANN401 - as above
    """Return an event about a sign."""
    return kind(
        timestamp=now,
        **asked_by(command),
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        **said,
    )
