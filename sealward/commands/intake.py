"""The door for nodes: verifies what they report and turns it into commands."""

from __future__ import annotations

import logging
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from sealward.commands import messages as ask
from sealward.commands import reports
from sealward.commands.errors import NotRegistered, NotSigned, Rejected, UnknownGeneration
from sealward.events import envelope as envelopes
from sealward.events import statement as statements
from sealward.events.bus import BusUnavailable, Later, Poison
from sealward.events.keys import KeyRefused, public_key
from sealward.events.node import Withheld
from sealward.events.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.commands.handler import Handler
    from sealward.commands.node import Node
    from sealward.events.bus import Bus

    Desire = Callable[[Node], reports.Desired]

log = logging.getLogger(__name__)

QUIET_FOR: Final = timedelta(seconds=60)
"""A refusal for the same reason is recorded once in this time, so that garbage cannot flood the log."""
REMEMBERED: Final = 10_000

Refused = (
    Rejected,
    KeyRefused,
    envelopes.EnvelopeRefused,
    envelopes.NotVerified,
    reports.ReportMalformed,
    statements.StatementRefused,
)


class Intake:
    """Takes reports, one at a time. `desire` tells what a node has to know, `heard` learns who is there."""

    def __init__(
        self,
        handler: Handler,
        heard: Callable[[reports.AnyReport], None],
        bus: Bus,
        desire: Desire,
        clock: Callable[[], datetime],
    ) -> None:
        self._handler = handler
        self._heard = heard
        self._bus = bus
        self._desire = desire
        self._clock = clock
        self._refusals: OrderedDict[tuple[str, str, str | None], datetime] = OrderedDict()

    def take(self, body: bytes) -> None:
        """Act on a report. Redelivery is harmless. Raises Poison for one that is refused, and Later."""
        try:
            envelope = envelopes.parse(body)
            report = reports.parse(envelope)
        except Refused as refused:
            raise _poison(refused) from refused
        try:
            self._act(report, envelope)
        except (StoreUnavailable, BusUnavailable) as away:
            raise Later(str(away)) from away
        except (NotSigned, UnknownGeneration) as late:
            log.info("%s: %s", report.hostname, late)  # the sign was revoked or ordered anew meanwhile
        except Refused as refused:
            self._record(report, refused)
            raise _poison(refused) from refused

    def _act(self, report: reports.AnyReport, envelope: envelopes.Envelope) -> None:
        node = self._handler.node(report.hostname)
        key = _key(node, report)
        envelopes.verify(envelope, [key])
        self._carry_out(report, node, key)
        self._heard(report)

    def _carry_out(self, report: reports.AnyReport, node: Node | None, key: Ed25519PublicKey) -> None:
        match report:
            case reports.Registration():
                self._register(report.hostname, report.public_key)
            case _ if node is None:
                raise NotRegistered
            case reports.Heartbeat():
                if node.lost:
                    self._register(node.hostname, node.public_key)
            case _:
                self._handler.handle(_command(report, node, key))

    def _register(self, hostname: str, pem: str) -> None:
        """Take the node in (again), route its events to its queue, then tell it everything."""
        self._handler.handle(ask.RegisterNode(actor=f"node:{hostname}", hostname=hostname, public_key=pem))
        node = self._handler.node(hostname)
        if node is None:
            raise NotRegistered
        queue = reports.queue_of(hostname)
        self._bus.bind(queue, f"#.node.{node.node_id}")
        self._bus.send(queue, msgspec.json.encode(self._desire(node)))

    def _record(self, report: reports.AnyReport, refused: Exception) -> None:
        reason = _poison(refused).reason
        server_id = getattr(report, "server_id", None)
        if self._is_quiet((report.hostname, reason, server_id)):
            return
        refusal = ask.RefuseReport(
            actor="system", hostname=report.hostname, reason=reason, server_id=server_id
        )
        try:
            self._handler.handle(refusal)
        except NotRegistered:
            log.warning("%s is no registered node", report.hostname)
        except StoreUnavailable as away:
            raise Later(str(away)) from away

    def _is_quiet(self, refusal: tuple[str, str, str | None]) -> bool:
        now = self._clock()
        last = self._refusals.get(refusal)
        if last is not None and now - last < QUIET_FOR:
            return True
        self._refusals[refusal] = now
        self._refusals.move_to_end(refusal)
        if len(self._refusals) > REMEMBERED:
            self._refusals.popitem(last=False)
        return False


def _poison(refused: Exception) -> Poison:
    return Poison(str(getattr(refused, "code", "report.refused")), str(refused))


def _key(node: Node | None, report: reports.AnyReport) -> Ed25519PublicKey:
    """Return the key that must have signed: the registered one; at the first registration its own."""
    if isinstance(report, reports.Registration):
        return public_key(report.public_key)  # another key than the registered one is refused later
    if node is None:
        raise NotRegistered
    return public_key(node.public_key)


def _command(report: reports.AnyReport, node: Node, key: Ed25519PublicKey) -> ask.Command:
    actor = f"node:{node.hostname}"
    match report:
        case reports.Inventory():
            return ask.RecordInventory(actor=actor, hostname=node.hostname, instances=report.instances)
        case reports.Measurement():
            return _measurement(report, actor, key)
        case reports.Failure():
            return ask.RecordFailure(
                actor=actor,
                task_id=report.task_id,
                server_id=report.server_id,
                node_id=node.node_id,
                reason=report.reason,
                failed_at=report.failed_at,
                cause=report.cause,
            )
        case reports.Sweep():
            return ask.RecordSweep(
                actor=actor,
                task_id=report.task_id,
                hostname=node.hostname,
                cause=report.cause,
                started_at=report.started_at,
                vouched=report.vouched,
                withheld=tuple(Withheld(reason=one.reason, sign_ids=one.sign_ids) for one in report.withheld),
                counts=report.counts,
                digest=report.digest,
            )
    raise reports.ReportMalformed(type(report).__name__)


def _measurement(report: reports.Measurement, actor: str, key: Ed25519PublicKey) -> ask.RecordMeasurement:
    envelope = envelopes.parse(report.envelope)
    statement = statements.parse(envelopes.verify(envelope, [key]), envelope.payload_type)
    if statement.server_id != report.server_id:
        raise reports.ReportMalformed("the statement is about another server than the report")
    return ask.RecordMeasurement(
        actor=actor,
        task_id=report.task_id,
        server_id=report.server_id,
        envelope=envelope,
        statement=statement,
        findings=report.findings,
        cause=report.cause,
    )
