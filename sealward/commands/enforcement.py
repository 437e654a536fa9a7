"""Decides on reports of nodes about their start gates and reactions: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands.fact import about_node
from sealward.commands.membership import member
from sealward.events import enforcement as facts
from sealward.events.findings.coding import all_coded

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands import messages as ask
    from sealward.commands.node_state import Node
    from sealward.events.base import Event


def record_enforcement(node: Node | None, command: ask.RecordEnforcement, *, now: datetime) -> list[Event]:
    """Record that the state of a start gate has changed. Raises NotRegistered."""
    node = member(node)
    if (node.enforcement, node.enforcement_reason) == (command.report.state, command.report.reason):
        return []
    changed = about_node(
        facts.EnforcementChanged,
        node,
        command,
        now,
        enforcement=command.report.state,
        reason=command.report.reason,
    )
    return [changed]


def record_objection(node: Node | None, command: ask.RecordObjection, *, now: datetime) -> list[Event]:
    """Record an objection to a start, once. Raises NotRegistered."""
    node = member(node)
    if command.report.id in node.recorded:
        return []
    kind: type[facts.Started] = facts.StartRefused if command.report.refused else facts.StartTolerated
    objection = about_node(
        kind,
        node,
        command,
        now,
        objection_id=command.report.id,
        server_id=command.report.server_id,
        instance_name=command.report.instance_name,
        reason=command.report.reason,
        findings=all_coded(command.report.findings),
        decided_at=command.report.decided_at,
    )
    return [objection]


def record_reaction(node: Node | None, command: ask.RecordReaction, *, now: datetime) -> list[Event]:
    """Record a node's reaction to a violation, once. Raises NotRegistered."""
    node = member(node)
    if command.report.id in node.recorded:
        return []
    reaction = about_node(
        facts.ReactionTaken,
        node,
        command,
        now,
        reaction_id=command.report.id,
        server_id=command.report.server_id,
        generation=command.report.generation,
        action=command.report.action,
        outcome=command.report.outcome,
        reason=command.report.reason,
        policy_position=command.report.policy_position,
        taken_at=command.report.taken_at,
    )
    return [reaction]
