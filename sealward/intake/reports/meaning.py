"""Which command a verified report of a node amounts to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext, by_node
from sealward.commands.errors import WrongNode
from sealward.events.node import Withheld
from sealward.events.signing.keys import public_key
from sealward.intake.reports.reading import Measured
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from sealward.commands.node_state import Node


def of(report: reports.AnyReport, measured: Measured | Exception | None, node: Node) -> ask.Command:
    """Return the command to record what a node said; `measured` is what a measurement holds.

    Raises ReportMalformed, WrongNode, EnvelopeRefused, StatementRefused.
    """
    context = by_node(node.hostname, getattr(report, "task_id", None))
    match report:
        case reports.Inventory():
            return ask.RecordInventory(
                context=context,
                hostname=node.hostname,
                instances=report.instances,
                taken_at=report.taken_at,
                running=None if report.running is None else frozenset(report.running),
                leaving=frozenset(report.leaving),
            )
        case reports.Firmware():
            return ask.RecordFirmware(context=context, hostname=node.hostname, files=report.files)
        case reports.Measurement():
            return _measurement(report, measured, node)
        case reports.Failure():
            return ask.RecordFailure(
                context=context,
                server_id=report.server_id,
                sign_id=report.sign_id,
                node_id=node.node_id,
                reason=report.reason,
                failed_at=report.failed_at,
                cause=report.cause,
            )
        case reports.Enforcement() | reports.Objection() | reports.Reaction():
            return _enforcement(report, context)
        case reports.Sweep():
            return ask.RecordSweep(
                context=context,
                hostname=node.hostname,
                cause=report.cause,
                started_at=report.started_at,
                vouched=report.vouched,
                withheld=tuple(Withheld(reason=one.reason, sign_ids=one.sign_ids) for one in report.withheld),
                counts=report.counts,
                digest=report.digest,
            )
    raise codec.ReportMalformed(type(report).__name__)


def _enforcement(
    report: reports.Enforcement | reports.Objection | reports.Reaction, context: RequestContext
) -> ask.Command:
    match report:
        case reports.Enforcement():
            return ask.RecordEnforcement(
                context=context, hostname=report.hostname, state=report.state, reason=report.reason
            )
        case reports.Objection():
            return ask.RecordObjection(
                context=context,
                hostname=report.hostname,
                objection_id=report.id,
                server_id=report.server_id,
                instance_name=report.instance_name,
                reason=report.reason,
                refused=report.refused,
                findings=report.findings,
                decided_at=report.decided_at,
            )
        case reports.Reaction():
            return ask.RecordReaction(
                context=context,
                hostname=report.hostname,
                reaction_id=report.id,
                server_id=report.server_id,
                generation=report.generation,
                action=report.action,
                outcome=report.outcome,
                reason=report.reason,
                policy_position=report.policy_position,
                taken_at=report.taken_at,
            )


def _measurement(
    report: reports.Measurement, measured: Measured | Exception | None, node: Node
) -> ask.RecordMeasurement:
    if not isinstance(measured, Measured):
        raise measured or TypeError("a measurement that was not read")
    statement = measured.statement
    if statement.server_id != report.server_id:
        raise codec.ReportMalformed("the statement is about another server than the report")
    if statement.node_id != node.node_id:
        raise WrongNode
    if statement.task_id != report.task_id:
        raise codec.ReportMalformed("the statement was made for another task than the report")
    return ask.RecordMeasurement(
        context=by_node(node.hostname, report.task_id),
        server_id=report.server_id,
        envelope=measured.signed.envelope,
        key=public_key(node.public_key),
        is_signed=measured.signed.by == node.public_key,
        statement=statement,
        findings=report.findings,
        host_bound=report.host_bound,
        cause=report.cause,
    )
