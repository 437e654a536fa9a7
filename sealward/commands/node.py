"""Decides on commands about a node: pure functions over one node's stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands import invitation
from sealward.commands.clock import is_overtaken, refuse_future
from sealward.commands.errors import NotRegistered, SweepMalformed
from sealward.commands.fact import about_node, asked_by
from sealward.commands.membership import member
from sealward.commands.node_state import Software
from sealward.events import node as facts
from sealward.events.wire import ranges

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.commands.messages import (
        ActivateNode,
        Command,
        DeactivateNode,
        LoseNode,
        RecordSoftware,
        RecordSweep,
        RefuseReport,
        RegisterNode,
        SetNodePolicy,
    )
    from sealward.commands.node_state import Node
    from sealward.events.base import Event
    from sealward.protocol.reports import Sweep


def register_node(node: Node | None, command: RegisterNode, *, node_id: int, now: datetime) -> list[Event]:
    """Register a host that is invited, or may register uninvited; or record that a lost node has returned.

    Raises NotInvited, InvitationExpired, InvitationRevoked, InvitationUsed, HostnameTaken, NodeWasRemoved.
    """
    if node is None or node.removed:
        invitation.refuse_uninvited(node, command, now)
        registered = facts.NodeRegistered(
            timestamp=now,
            **asked_by(command),
            node_id=node_id if node is None else node.node_id,
            hostname=command.hostname,
            public_key=command.public_key,
        )
        return [registered]
    invitation.refuse_another(node, command)
    return [about_node(facts.NodeReturned, node, command, now)] if node.lost else []


def activate_node(node: Node | None, command: ActivateNode, *, now: datetime) -> list[Event]:
    """Switch validation on. Each order is a task of its own; a task is carried out once."""
    return _switch(facts.NodeActivated, member(node), command, now)


def deactivate_node(node: Node | None, command: DeactivateNode, *, now: datetime) -> list[Event]:
    """Switch validation off. Each order is a task of its own; a task is carried out once."""
    return _switch(facts.NodeDeactivated, member(node), command, now)


def set_policy(node: Node | None, command: SetNodePolicy, *, now: datetime) -> list[Event]:
    """Set the policy of a node. The policy that it has already is no change. Raises NotRegistered."""
    node = member(node)
    if command.policy == node.policy:
        return []
    return [about_node(facts.NodePolicySet, node, command, now, policy=command.policy)]


def lose_node(node: Node | None, command: LoseNode, *, now: datetime) -> list[Event]:
    """Record once that a node was silent for longer than its lease. Raises NotRegistered."""
    node = member(node)
    return [] if node.lost else [about_node(facts.NodeLost, node, command, now)]


def record_sweep(
    node: Node | None, command: RecordSweep, *, now: datetime, fresh_until: datetime
) -> list[Event]:
    """Record a sweep. A sweep that is not later than the last sweep is recorded only if it answers a task.

    A sweep from the future is refused: the verdicts that it makes true would live too long.
    Raises NotRegistered, FromTheFuture, SweepMalformed.
    """
    node, report = member(node), command.report
    refuse_future(report.started_at, now)
    _readable(report)
    is_answer = command.task_id is not None and command.task_id not in node.answered
    if is_overtaken(report.started_at, node.swept_at) and not is_answer:
        return []
    swept = about_node(
        facts.NodeSwept,
        node,
        command,
        now,
        cause=report.cause,
        started_at=report.started_at,
        fresh_until=fresh_until,
        vouched=report.vouched,
        withheld=tuple(facts.Withheld(reason=one.reason, sign_ids=one.sign_ids) for one in report.withheld),
        counts=report.counts,
        digest=report.digest,
    )
    return [swept]


def record_software(node: Node | None, command: RecordSoftware, *, now: datetime) -> list[Event]:
    """Record the software of a node, if it is another than before. Raises NotRegistered."""
    node, report = member(node), command.report
    software = Software(report.version, report.profile, report.hypervisor)
    if software == node.software:
        return []
    changed = about_node(
        facts.NodeSoftwareChanged,
        node,
        command,
        now,
        release=software.version,
        profile=software.profile,
        hypervisor=software.hypervisor,
    )
    return [changed]


def refuse_report(node: Node | None, command: RefuseReport, *, now: datetime) -> list[Event]:
    """Record that a report in the node's name was refused.

    This is recorded of a removed node, too: somebody still has its key. Raises NotRegistered.
    """
    if node is None:
        raise NotRegistered
    refused = facts.NodeReportRefused(
        timestamp=now,
        actor=command.actor,
        node_id=node.node_id,
        hostname=node.hostname,
        reason=command.reason,
        server_id=command.server_id,
    )
    return [refused]


def _switch(kind: type[facts.NodeEvent], node: Node, command: Command, now: datetime) -> list[Event]:
    if command.task_id is not None and command.task_id in node.switched:
        return []
    return [about_node(kind, node, command, now)]


def _readable(report: Sweep) -> None:
    try:
        for text in (report.vouched, *(one.sign_ids for one in report.withheld)):
            ranges.parse(text)
    except ranges.RangesRefused as refused:
        raise SweepMalformed(str(refused)) from refused
