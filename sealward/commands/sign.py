"""Decides on commands about a sign: pure functions over one server's stream."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sealward.commands.clock import dated, refuse_future
from sealward.commands.errors import (
    AlreadySigned,
    Changed,
    FilesUnread,
    NotInDoubt,
    NotOrdered,
    NotSigned,
    UnknownGeneration,
    WrongNode,
)
from sealward.commands.fact import about_sign, asked_by
from sealward.commands.messages import Expected
from sealward.commands.moves import confirmation, location
from sealward.events import sign as facts
from sealward.events.cause import Cause
from sealward.events.comparison.binding import is_news, is_violated, to_record
from sealward.events.comparison.doubt import may_be_sealed
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN, Measurement
from sealward.events.comparison.remeasured import comparable
from sealward.events.findings.coding import all_coded
from sealward.events.is_valid import IsValid
from sealward.events.signing import statement as statements
from sealward.events.verdict import Verdict, judged, withheld

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.commands.messages import (
        Command,
        CreateSign,
        RecordFailure,
        RecordMeasurement,
        RequestValidation,
        RevokeSign,
        SetServerPolicy,
        UpdateSign,
    )
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event
    from sealward.events.signing.envelope import Envelope


def create_sign(sign: Sign | None, command: CreateSign, *, sign_id: int, now: datetime) -> list[Event]:
    """Order a sign for a server that is not signed. Raises AlreadySigned."""
    if sign is not None:
        raise AlreadySigned
    order = facts.SignCreated(
        timestamp=now,
        **asked_by(command),
        sign_id=sign_id,
        server_id=command.server_id,
        node_id=command.node_id,
        hostname=command.hostname,
        instance_name=command.instance_name,
        profile=command.profile,
        generation=1,
    )
    return [order]


def update_sign(sign: Sign | None, command: UpdateSign, *, now: datetime) -> list[Event]:
    """Order a new reference under the current profile. The reference in force stays until the next seal.

    Raises NotSigned, Changed, NotInDoubt, PlaceUnconfirmed.
    """
    sign = _as_expected(_signed(sign), command.expected)
    if command.in_doubt and not sign.verdict.is_in_doubt:
        raise NotInDoubt
    confirmation.refuse_unnamed(sign, command.node_id)
    order = about_sign(
        facts.SignUpdated,
        sign,
        command,
        now,
        hostname=sign.hostname,
        instance_name=sign.instance_name,
        profile=LIBVIRT_DOMAIN,
        generation=sign.ordered + 1,
        in_doubt=True if command.in_doubt else None,
    )
    return [order]


def request_validation(sign: Sign | None, command: RequestValidation, *, now: datetime) -> list[Event]:
    """Ask the node for a fresh measurement. Raises NotSigned."""
    return [about_sign(facts.SignValidationRequested, _signed(sign), command, now)]


def revoke_sign(sign: Sign | None, command: RevokeSign, *, now: datetime) -> list[Event]:
    """Take the server off control. Raises NotSigned, Changed."""
    return [about_sign(facts.SignRevoked, _as_expected(_signed(sign), command.expected), command, now)]


def set_policy(sign: Sign | None, command: SetServerPolicy, *, now: datetime) -> list[Event]:
    """Set the exceptions of a server from its node's policy, if they change. Raises NotSigned."""
    sign = _signed(sign)
    if command.policy == sign.policy:
        return []
    return [about_sign(facts.SignPolicySet, sign, command, now, policy=command.policy)]


def record_measurement(
    sign: Sign | None,
    command: RecordMeasurement,
    *,
    countersign: Callable[[], Envelope],
    now: datetime,
    fresh_until: datetime,
) -> list[Event]:
    """Seal the generation that was ordered, or compare a measurement with the reference in force.

    `countersign` returns the command's envelope with the authority's signature; it is called only for a seal.
    A report that changes nothing and answers no task gives no event, unless it is the first report of a node
    about the server: the projections may have withheld trust when the server left its node before.
    Raises NotSigned, WrongNode, MovedAway, UnknownGeneration, NotOrdered, FromTheFuture, FilesUnread, and
    the errors of `countersign`.
    """
    sign = _signed(sign)
    statement = command.statement
    if statement.server_id != sign.server_id:
        raise WrongNode
    if statement.sign_id != sign.sign_id:
        raise UnknownGeneration  # measured for a sign that was revoked: it must not seal the present sign
    location.refuse_others(sign, statement.node_id)
    if statement.generation == sign.ordered and sign.sealed < sign.ordered:
        return _for_order(sign, command, countersign, now, fresh_until)
    if statement.generation != sign.sealed or sign.reference is None:
        raise UnknownGeneration
    return _compared(sign, sign.reference, command, now, fresh_until)


def _for_order(
    sign: Sign,
    command: RecordMeasurement,
    countersign: Callable[[], Envelope],
    now: datetime,
    fresh_until: datetime,
) -> list[Event]:
    """Seal the generation that is ordered, or say why the order stays open.

    Raises NotOrdered, FromTheFuture, FilesUnread, and the errors of `countersign`.
    """
    statement = command.statement
    if statement.task_id != sign.ordered_task:
        raise NotOrdered
    refuse_future(statement.measured_at, now)
    if statement.measurement.unread:
        raise FilesUnread
    if (reason := confirmation.not_sealed_for(sign)) is not None:
        return _not_sealed(sign, command, reason, now)
    if sign.is_order_in_doubt and not _is_but_upgraded(sign, command):
        return _not_as_signed(sign, command, now, fresh_until)
    return _seal(sign, command, countersign(), now, fresh_until)


def _compared(
    sign: Sign, reference: Measurement, command: RecordMeasurement, now: datetime, fresh_until: datetime
) -> list[Event]:
    """Compare a measurement with the reference in force. Without a change or a task there is no event.

    That a server was changed and changed back is an event, too.

    Raises FromTheFuture.
    """
    statement = command.statement
    reference = comparable(reference, statement.measurement, statement.remeasured)
    judge = partial(
        judged,
        sign.verdict,
        reference,
        statement.measurement,
        findings=command.report.findings,
        fresh_until=fresh_until,
        binding=sign.binding,
        host_bound=command.report.host_bound,
    )
    moment = dated(statement.measured_at, sign.verdict.checked_at, now)
    verdict = judge(checked_at=moment)
    if verdict.is_valid is not IsValid.FALSE and moment != statement.measured_at:
        refuse_future(statement.measured_at, now)
        moment = statement.measured_at
        verdict = judge(checked_at=moment)
    bound = _host_bound(sign, command, verdict, now)
    verdict = confirmation.as_confirmed(sign, verdict)
    has_changed = _shown(verdict) != _shown(sign.verdict)
    cause = command.report.cause
    was_asked = cause != Cause.SEALED and _is_answer(sign, command)  # a seal can be reported twice
    is_first = sign.is_unseen or cause == Cause.PASSED_OVER
    is_late = moment <= sign.verdict.checked_at
    judgement = [_validated(sign, command, cause, verdict, moment, now)]
    is_note = cause == Cause.CHANGED_BACK and verdict.is_valid is not IsValid.UNKNOWN
    counts = has_changed or was_asked or ((is_first or is_note) and not is_late)
    return (judgement if counts else []) + bound + _block_jobs(sign, command, now)


def record_failure(sign: Sign | None, command: RecordFailure, *, now: datetime) -> list[Event]:
    """Withhold trust because the node could not measure the server. A false verdict stays false.

    A failure that changes nothing and answers no task gives no event.
    Raises NotSigned, WrongNode, MovedAway, UnknownGeneration, FromTheFuture.
    """
    sign = _signed(sign)
    if command.report.sign_id != sign.sign_id:
        raise UnknownGeneration  # the failure is about a sign that was revoked
    location.refuse_others(sign, command.node_id)
    refuse_future(command.report.failed_at, now)
    if command.report.cause == Cause.SEALED and sign.sealed == sign.ordered:
        return []  # it came late: the order is sealed already
    verdict = withheld(sign.verdict, command.report.reason, command.report.failed_at)
    if verdict.is_valid == sign.verdict.is_valid and not _is_answer(sign, command):
        return []
    if verdict.is_valid is not IsValid.FALSE:
        verdict = replace(verdict, is_valid=IsValid.UNKNOWN, reasons=(command.report.reason,))
    return [_validated(sign, command, command.report.cause, verdict, command.report.failed_at, now)]


def _is_but_upgraded(sign: Sign, command: RecordMeasurement) -> bool:
    """Say whether a server differs from its reference only in what a libvirt upgrade may have filled in."""
    found = command.statement.measurement
    if sign.reference is None:
        return False
    reference = comparable(sign.reference, found, command.statement.remeasured)
    if is_violated(reference, sign.binding, found):
        return False
    return may_be_sealed(reference, found, command.report.findings)


def _not_as_signed(
    sign: Sign, command: RecordMeasurement, now: datetime, fresh_until: datetime
) -> list[Event]:
    """Record the verdict on a server that is not sealed, because more has changed than by an upgrade.

    The order stays open.
    """
    assert sign.reference is not None  # noqa: S101 - nothing without a reference is in doubt
    statement = command.statement
    verdict = judged(
        sign.verdict,
        comparable(sign.reference, statement.measurement, statement.remeasured),
        statement.measurement,
        findings=command.report.findings,
        checked_at=command.statement.measured_at,
        fresh_until=fresh_until,
        binding=sign.binding,
        host_bound=command.report.host_bound,
    )
    has_changed = _shown(verdict) != _shown(sign.verdict)
    if not has_changed and not _is_answer(sign, command):
        return []
    return [_validated(sign, command, Cause.SEALED, verdict, command.statement.measured_at, now)]


def _not_sealed(sign: Sign, command: RecordMeasurement, reason: str, now: datetime) -> list[Event]:
    """Record once for a task that nothing is sealed now, with the reason. The order stays open."""
    if not _is_answer(sign, command):
        return []
    verdict = replace(sign.verdict, is_valid=IsValid.UNKNOWN, reasons=(reason,), findings=())
    return [_validated(sign, command, Cause.SEALED, verdict, command.statement.measured_at, now)]


def _host_bound(sign: Sign, command: RecordMeasurement, verdict: Verdict, now: datetime) -> list[Event]:
    """Record host-bound parts that a move has changed, if everything else is as it was signed."""
    found, measured_at = command.statement.measurement, command.statement.measured_at
    if sign.reference is None or verdict.is_valid is not IsValid.TRUE or measured_at <= sign.host_bound_at:
        return []
    reference = comparable(sign.reference, found, command.statement.remeasured)
    if not is_news(reference, sign.binding, found):
        return []
    changed = facts.HostBoundChanged(
        timestamp=now,
        actor=command.actor,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        generation=sign.sealed,
        host_bound=to_record(found),
        findings=all_coded(command.report.host_bound, is_bound=True),
        checked_at=measured_at,
    )
    return [changed]


def _block_jobs(sign: Sign, command: RecordMeasurement, now: datetime) -> list[Event]:
    """Record that block jobs have begun or ended."""
    found, measured_at = command.statement.measurement, command.statement.measured_at
    if found.jobs == sign.jobs or measured_at <= sign.jobs_at:
        return []
    changed = facts.BlockJobsChanged(
        timestamp=now,
        actor=command.actor,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        generation=sign.sealed,
        jobs=found.jobs,
        checked_at=measured_at,
    )
    return [changed]


def _is_answer(sign: Sign, command: RecordMeasurement | RecordFailure) -> bool:
    return command.task_id is not None and command.task_id not in sign.answered


def _seal(
    sign: Sign, command: RecordMeasurement, countersigned: Envelope, now: datetime, fresh_until: datetime
) -> list[Event]:
    statement = command.statement
    sealed = facts.SignSealed(
        timestamp=now,
        actor=command.actor,
        task_id=sign.ordered_task,
        request_id=sign.ordered_request,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        generation=statement.generation,
        digest=statement.measurement.digest,
        envelope=statements.sealed(statement, countersigned),
    )
    verdict = replace(
        sign.verdict,
        is_valid=IsValid.TRUE,
        reasons=(),
        findings=(),
        checked_at=statement.measured_at,
        fresh_until=fresh_until,
        fingerprint="",
    )
    return [
        sealed,
        _validated(
            replace(sign, sealed=statement.generation),
            sealed,
            Cause.SEALED,
            verdict,
            statement.measured_at,
            now,
        ),
    ]


def _validated(  # noqa: PLR0913, PLR0917 - what a verdict rests on
    sign: Sign, order: Command | Event, cause: str, verdict: Verdict, moment: datetime, now: datetime
) -> Event:
    """Return the event of a verdict. An unknown verdict is dated with `moment`, when nothing was measured."""
    return facts.SignValidated(
        timestamp=now,
        actor=order.actor,
        task_id=order.task_id,
        request_id=order.request_id,
        sign_id=sign.sign_id,
        server_id=sign.server_id,
        node_id=sign.node_id,
        generation=sign.sealed,
        is_valid=verdict.is_valid,
        reasons=verdict.reasons,
        findings=verdict.findings,
        cause=cause,
        checked_at=moment if verdict.is_valid is IsValid.UNKNOWN else verdict.checked_at,
        fresh_until=verdict.fresh_until,
        fingerprint=verdict.fingerprint or None,
    )


def _shown(verdict: Verdict) -> tuple[object, ...]:
    """Return the parts of a verdict whose change is an event: all but its time and why trust was lost."""
    return verdict.is_valid, verdict.reasons, verdict.findings, verdict.fingerprint


def _as_expected(sign: Sign, expected: Expected | None) -> Sign:
    """Return the sign. Raises Changed if it is not as the administrator has seen it."""
    verdict = sign.verdict
    known = Expected(
        sign.sign_id, sign.ordered, sign.sealed, verdict.findings, verdict.fingerprint, sign.binding.recorded
    )
    if expected is not None and known != expected:
        raise Changed
    return sign


def _signed(sign: Sign | None) -> Sign:
    if sign is None:
        raise NotSigned
    return sign
