"""What nodes report of their start gates and reactions, and which facts follow: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands import messages as ask
from sealward.commands.fact import about_node
from sealward.commands.membership import member
from sealward.events import enforcement as facts

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.events.base import Event


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
    node = member(node)
    if (node.enforcement, node.enforcement_reason) == (command.state, command.reason):
        return []
    changed = about_node(
        facts.EnforcementChanged,
        node,
        command,
        now,
        enforcement=command.state,
        reason=command.reason,
    )
    return [changed]


def record_objection(node: Node | None, command: ask.RecordObjection, *, now: datetime) -> list[Event]:
    """Record an objection to a start, once. Raises NotRegistered."""
    node = member(node)
    if command.objection_id in node.recorded:
        return []
    kind: type[facts.Started] = facts.StartRefused if command.refused else facts.StartTolerated
    objection = about_node(
        kind,
        node,
        command,
        now,
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
    node = member(node)
    if command.reaction_id in node.recorded:
        return []
    reaction = about_node(
        facts.ReactionTaken,
        node,
        command,
        now,
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
