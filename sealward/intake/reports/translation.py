"""Translates a verified report of a node into the command that records it and carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.commands import messages as ask
from sealward.commands.context import by_node
from sealward.commands.errors import WrongNode
from sealward.events.signing.keys import public_key
from sealward.intake.reports.decoding import Measured
from sealward.protocol import codec, reports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealward.commands.node_state import Node

ABOUT_A_NODE: Final[Mapping[type[reports.Report], Callable[..., ask.NodeCommand]]] = {
    reports.Inventory: ask.RecordInventory,
    reports.Firmware: ask.RecordFirmware,
    reports.Enforcement: ask.RecordEnforcement,
    reports.Software: ask.RecordSoftware,
    reports.Objection: ask.RecordObjection,
    reports.Reaction: ask.RecordReaction,
    reports.Sweep: ask.RecordSweep,
}
"""The command that records each report which is decided on the stream of its node."""


def command_for(report: reports.AnyReport, measured: Measured | Exception | None, node: Node) -> ask.Command:
    """Return the command that records a report of `node`.

    `measured` is the content of a measurement, or the error that decoding it raised. Raises ReportMalformed,
    WrongNode, EnvelopeRefused, StatementRefused.
    """
    if isinstance(report, reports.Measurement):
        return _measurement(report, measured, node)
    context = by_node(node.hostname, getattr(report, "task_id", None))
    match report:
        case reports.Failure():
            return ask.RecordFailure(
                context=context, server_id=report.server_id, node_id=node.node_id, report=report
            )
    record = ABOUT_A_NODE.get(type(report))
    if record is None:
        raise codec.ReportMalformed(type(report).__name__)
    return record(context=context, hostname=node.hostname, report=report)


def _measurement(
    report: reports.Measurement, measured: Measured | Exception | None, node: Node
) -> ask.RecordMeasurement:
    if not isinstance(measured, Measured):
        raise measured or TypeError("a measurement that was not decoded")
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
        report=report,
        envelope=measured.signed.envelope,
        key=public_key(node.public_key),
        statement=statement,
        is_signed=measured.signed.by == node.public_key,
    )
