"""What nodes report of their start gates and reactions, and which facts follow: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealward.commands import messages as ask
from sealward.commands.membership import member
from sealward.events import enforcement as facts

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.node import Node
    from sealward.events.base import Event

REMEMBERED: Final = 256
"""Objections and reactions of a node that are known again when they are reported a second time."""


def record(node: Node | None, command: ask.EnforcementCommand, *, now: datetime) -> list[Event]:
    """Record what a node says. Raises NotRegistered."""
    match command:
        case ask.RecordEnforcement():
            return record_enforcement(node, command, now=now)
        case ask.RecordObjection():
            return record_objection(node, command, now=now)
        case ask.RecordReaction():
            return record_reaction(node, command, now=now)
    raise TypeError(command)


def record_enforcement(node: Node | None, command: ask.RecordEnforcement, *, now: datetime) -> list[Event]:
    """Record that a gate is no longer what it was. Raises NotRegistered."""
    fields = _of(node, command, now)
    if node is not None and (node.enforcement, node.enforcement_reason) == (command.state, command.reason):
        return []
    return [facts.EnforcementChanged(**fields, enforcement=command.state, reason=command.reason)]


def record_objection(node: Node | None, command: ask.RecordObjection, *, now: datetime) -> list[Event]:
    """Record an objection to a start, once. Raises NotRegistered."""
    fields = _of(node, command, now)
    if node is not None and command.objection_id in node.recorded:
        return []
    kind = facts.StartRefused if command.refused else facts.StartTolerated
    objection = kind(
        **fields,
        objection_id=command.objection_id,
        server_id=command.server_id,
        instance_name=command.instance_name,
        reason=command.reason,
        findings=command.findings,
        decided_at=command.decided_at,
    )
    return [objection]


def record_reaction(node: Node | None, command: ask.RecordReaction, *, now: datetime) -> list[Event]:
    """Record what was done about a violation, once. Raises NotRegistered."""
    fields = _of(node, command, now)
    if node is not None and command.reaction_id in node.recorded:
        return []
    reaction = facts.ReactionTaken(
        **fields,
        reaction_id=command.reaction_id,
        server_id=command.server_id,
        generation=command.generation,
        action=command.action,
        outcome=command.outcome,
        reason=command.reason,
        policy_position=command.policy_position,
        taken_at=command.taken_at,
    )
    return [reaction]


def remembered(known: tuple[str, ...], new: str) -> tuple[str, ...]:
    """Return the ids that are known after one more."""
    return (*known, new)[-REMEMBERED:]


def _of(node: Node | None, command: ask.Command, now: datetime) -> dict[str, Any]:
    """Return what every such fact has. Raises NotRegistered."""
    node = member(node)
    return {
        "timestamp": now,
        "actor": command.actor,
        "task_id": command.task_id,
        "request_id": command.request_id,
        "node_id": node.node_id,
        "hostname": node.hostname,
    }
