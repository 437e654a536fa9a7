"""Measure servers, hold them against their references, and report what is news."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.comparison.binding import is_news, is_violated
from sealward.events.comparison.doubt import in_doubt
from sealward.events.comparison.measurement import differing
from sealward.events.is_valid import IsValid
from sealward.events.set_aside import BROKEN
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.node_agent.files.refusals import FilesBeingMeasured, refusal
from sealward.node_agent.hypervisor.calls import DomainLocked
from sealward.node_agent.hypervisor.hypervisor import DomainUnreadable, HypervisorGone
from sealward.node_agent.measuring.canonical import DomainXmlRefused
from sealward.node_agent.measuring.findings import findings, host_bound_findings
from sealward.node_agent.measuring.jobs import without_jobs
from sealward.node_agent.measuring.measure import Measured, measure
from sealward.node_agent.measuring.not_measured import MeasuringFailed, NotMeasured
from sealward.node_agent.measuring.taint import counting
from sealward.node_agent.sealing import Order
from sealward.node_agent.sweep import Sweep
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from sealward.events.comparison.binding import Binding
    from sealward.events.comparison.measurement import Finding
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.hypervisor.hypervisor import DomainXml, Hypervisor
    from sealward.node_agent.ledger.bindings import Bindings
    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.measuring.measure import Files
    from sealward.protocol.desired import Assignment

log = logging.getLogger(__name__)

EQUAL: Final = "equal"
"""What is said of a server that was found equal; of others it is a digest of what was found, or a reason."""

AWAY: Final = frozenset(("node-lost", "node-deactivated", "libvirt-gone"))
"""Reasons of an unknown that are those of a whole node, and over when it sweeps."""

NODE_WIDE: Final = AWAY | {"stale"}
"""Reasons of an unknown that a sweep clears without a report for every single server."""


UNMEASURED_FOR: Final = 60.0
"""Seconds for which a verdict stands while files of its server are being measured."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A server that libvirt was asked for at `moment`; `xml` waits for the answer, or raises NotMeasured.

    What is found is as of that moment or later.
    """

    reference: Reference
    moment: datetime
    xml: Callable[[], DomainXml]


class Validator:
    """One node's measuring. `moment` gives ever later times; `send` takes a report to the control plane.

    What was said of each server is remembered, so that only news is reported; and for which servers the
    control plane has recorded a false, so that what was said and not recorded is said again.
    """

    def __init__(  # noqa: PLR0913 - what measuring, judging and reporting need
        self,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        bindings: Bindings,
        *,
        hostname: str,
        keyring: Keyring,
        moment: Callable[[], datetime],
        send: Callable[[reports.AnyReport], None],
    ) -> None:
        self._hypervisor = hypervisor
        self._files = files
        self._bindings = bindings
        self._hostname = hostname
        self._keyring = keyring
        self._moment = moment
        self._send = send
        self.node_id = 0
        self.said: dict[str, str] = {}
        self._false: set[str] = set()
        self._awaited: dict[str, float] = {}
        """By server since when (`time.monotonic()`) some of its files are being measured."""
        self._jobs: dict[str, tuple[str, ...]] = {}
        """By server the block jobs that were reported last; none where nothing is said."""
        self._different: set[str] = set()
        """The servers that were found different when they were looked at last."""

    def begin(self, said: dict[str, str], false: set[str]) -> None:
        """Take over what the control plane knows; what else was said is said again when it is news."""
        self.said = said
        self._false = false

    def heard(self, server_id: str, is_valid: IsValid) -> None:
        """Learn which verdict the control plane has recorded."""
        if is_valid is IsValid.FALSE:
            self._false.add(server_id)
        else:
            self._false.discard(server_id)

    def unsay(self, server_id: str) -> None:
        """Have the next finding about a server reported, also if the same was reported before."""
        self.said.pop(server_id, None)

    def forget(self, server_id: str) -> None:
        """Forget a server that is no longer signed."""
        self.said.pop(server_id, None)
        self._awaited.pop(server_id, None)
        self._jobs.pop(server_id, None)
        self._false.discard(server_id)
        self._different.discard(server_id)

    def is_found_different(self, server_id: str) -> bool:
        """Say whether this node has itself found a server different when it looked last."""
        return server_id in self._different

    def _note(self, server_id: str, *, is_different: bool) -> None:
        if is_different:
            self._different.add(server_id)
        else:
            self._different.discard(server_id)

    def seal(self, order: Order, before: Reference | None = None) -> bool:
        """Measure a server for its new reference; say whether it could be.

        What differs from the reference `before` of another libvirt is said along: the order may be for that.
        """
        moment = self._moment()
        try:
            with _measuring(order.server_id):
                measured = self._measured(order.server_id)
                explained = _upgraded(before, measured)
        except FilesBeingMeasured as later:
            if self.said.get(order.server_id) not in (EQUAL, later.code):
                self._report_failure(order, later, moment, "sealed")
            return False
        except NotMeasured as failed:
            self._report_failure(order, failed, moment, "sealed")
            return False
        self._report(order, measured, moment, "sealed", explained=explained)
        return True

    def refuse(self, server_id: str, sign_id: int, failed: NotMeasured, task_id: str | None) -> None:
        """Report that a server cannot be validated as was asked."""
        self._report_failure(Order(server_id, sign_id, 0, task_id), failed, self._moment(), "requested")

    def validate(
        self, reference: Reference, cause: str, task_id: str | None = None, *, is_new: bool = False
    ) -> None:
        """Compare a server with its reference; report what is news, and whatever a task asked for.

        While files are being measured, what is known stands for UNMEASURED_FOR seconds. Without libvirt's
        answer it is a sweep that says so: one follows when libvirt is lost, or answers late. If it is lost
        already, that sweep may have known nothing of a reference that `is_new`.
        """
        moment = self._moment()
        try:
            with _measuring(reference.server_id):
                measured = self._measured(reference.server_id, reference)
                self._compare(reference, measured, moment, cause, task_id)
        except NotMeasured as failed:
            if self._is_awaited(reference.server_id, failed):
                return
            if task_id is not None or (is_new and isinstance(failed, HypervisorGone)):
                self._report_failure(_validation(reference, task_id), failed, moment, cause)
            else:
                self._say_failure(reference, failed, moment, cause)

    def sweep(
        self,
        references: Iterable[Reference],
        sealing: Collection[str],
        unsigned: int,
        cause: str,
        task_id: str | None,
    ) -> None:
        """Look at all servers; those found as they were last said to be cost no report of their own.

        Nothing is vouched for that is `sealing`: another reference may be in force, and not yet heard of.
        """
        started_at = self._moment()
        sweep = Sweep(sealing)
        for asked in self._asked(references):
            try:
                with _measuring(asked.reference.server_id):
                    self._sweep_one(asked, sweep, cause)
            except NotMeasured as failed:
                self._withhold(asked, failed, sweep, cause)
        self._send(sweep.report(self._hostname, started_at, unsigned, cause, task_id))

    def withhold_all(
        self, references: Iterable[Reference], unsigned: int, reason: str, task_id: str | None
    ) -> None:
        """Say that nothing is vouched for any more."""
        sweep = Sweep(withheld={reason: [one.sign_id for one in references]})
        sweep.counts["unknown"] = len(sweep.withheld[reason])
        self._send(sweep.report(self._hostname, self._moment(), unsigned, reason, task_id))

    def _asked(self, references: Iterable[Reference]) -> Iterator[_Asked]:
        """Ask libvirt for each domain of a sweep: for the next one while the one before is measured."""
        before = None
        for reference in references:
            moment = self._moment()
            asked = _Asked(reference, moment, self._hypervisor.describing(reference.server_id))
            if before is not None:
                yield before
            before = asked
        if before is not None:
            yield before

    def _sweep_one(self, asked: _Asked, sweep: Sweep, cause: str) -> None:
        reference, moment = asked.reference, asked.moment
        measured = self._measured_from(asked.xml(), reference.server_id, reference, fresh=False)
        binding = self._bindings.of(reference.server_id)
        verdict = _verdict(reference, measured, binding)
        self._note(reference.server_id, is_different=verdict is not IsValid.TRUE)
        is_recorded = self._is_recorded(reference.server_id, measured, verdict)
        if not is_recorded:
            self.said.pop(reference.server_id, None)
        elif verdict is IsValid.UNKNOWN:
            sweep.withhold("profile-changed", reference.sign_id)
        if verdict is IsValid.TRUE:
            self._bindings.ran(reference.server_id, measured.expanded)
        if (
            not is_recorded
            or binding.is_open
            or is_news(reference.measurement, binding, measured.measurement)
            or self._has_other_jobs(reference.server_id, measured)
        ):
            self._compare(reference, measured, moment, cause, None)
        if verdict is IsValid.TRUE and reference.server_id not in sweep.sealing:
            sweep.vouched.append(reference.sign_id)
        sweep.counts[verdict.value] += 1
        sweep.lines.append(f"{reference.sign_id} {_found(measured)}")

    def _withhold(self, asked: _Asked, failed: NotMeasured, sweep: Sweep, cause: str) -> None:
        """Have a sweep not vouch for a server that could not be measured, or compared."""
        reference = asked.reference
        if not self._is_awaited(reference.server_id, failed):
            self._say_failure(reference, failed, asked.moment, cause)
            sweep.withhold(failed.code, reference.sign_id)
        sweep.counts["unknown"] += 1
        sweep.lines.append(f"{reference.sign_id} {failed.code}")

    def _is_recorded(self, server_id: str, measured: Measured, verdict: IsValid) -> bool:
        """Say whether this was said before, and whether what the control plane has recorded agrees."""
        if self.said.get(server_id) != (EQUAL if verdict is IsValid.TRUE else _found(measured)):
            return False
        return verdict is IsValid.UNKNOWN or (verdict is IsValid.FALSE) == (server_id in self._false)

    def _compare(
        self, reference: Reference, measured: Measured, moment: datetime, cause: str, task_id: str | None
    ) -> None:
        binding = self._bindings.of(reference.server_id)
        signed, seen = reference.measurement, measured.measurement
        pairs = differing(signed, seen)
        is_strange = is_violated(signed, binding, seen)
        self._note(reference.server_id, is_different=bool(pairs) or is_strange)
        found = _found(measured) if pairs or is_strange else EQUAL
        if found == EQUAL:
            self._bindings.ran(reference.server_id, measured.expanded)
        is_first = binding.is_open or is_news(signed, binding, seen)
        is_known = self.said.get(reference.server_id) == found and not is_first
        if task_id is None and is_known and not self._has_other_jobs(reference.server_id, measured):
            return
        explained = _explained(reference, measured, pairs)
        is_shown = bool(pairs) or is_strange or is_first
        bound = _bound(reference, measured, explained) if is_shown else ()
        order = _validation(reference, task_id)
        explained = tuple(self._files.localised(one) for one in explained)
        self._report(order, measured, moment, cause, explained=explained, host_bound=bound)
        self.said[reference.server_id] = found
        self._jobs[reference.server_id] = measured.measurement.jobs

    def _has_other_jobs(self, server_id: str, measured: Measured) -> bool:
        """Say whether block jobs have begun or ended since that was reported."""
        return measured.measurement.jobs != self._jobs.get(server_id, ())

    def _report(  # noqa: PLR0913 - one argument for each thing that a report says
        self,
        order: Order,
        measured: Measured,
        moment: datetime,
        cause: str,
        *,
        explained: tuple[Finding, ...] = (),
        host_bound: tuple[Finding, ...] = (),
    ) -> None:
        statement = Statement(
            order.server_id,
            order.sign_id,
            self.node_id,
            order.generation,
            moment,
            measured.measurement,
            measured.evidence(),
            order.task_id,
        )
        report = reports.Measurement(
            hostname=self._hostname,
            server_id=order.server_id,
            envelope=envelopes.sign(statement.envelope(), self._keyring.current).to_json(),
            cause=cause,
            task_id=order.task_id,
            findings=explained,
            host_bound=host_bound,
        )
        self._send(report)

    def _report_failure(self, order: Order, failed: NotMeasured, moment: datetime, cause: str) -> None:
        log.info("%s was not measured: %s", order.server_id, failed.code)
        report = reports.Failure(
            hostname=self._hostname,
            server_id=order.server_id,
            sign_id=order.sign_id,
            reason=failed.code,
            failed_at=moment,
            cause=cause,
            task_id=order.task_id,
        )
        self._send(report)
        self.said[order.server_id] = failed.code

    def _say_failure(self, reference: Reference, failed: NotMeasured, moment: datetime, cause: str) -> None:
        """Report what is one server's own: so is the end of that. What is libvirt's ends for all."""
        is_own = not isinstance(failed, HypervisorGone | DomainLocked)
        if is_own and self.said.get(reference.server_id) != failed.code:
            self._report_failure(_validation(reference, None), failed, moment, cause)

    def _is_awaited(self, server_id: str, failed: NotMeasured) -> bool:
        """Say whether nothing is to be said of a server before its files have been read.

        What is found then is news. Changing files again and again gains no time: it counts from the first
        look that did not measure all of them.
        """
        if not isinstance(failed, FilesBeingMeasured):
            return False
        now = time.monotonic()
        if server_id not in self._awaited:
            self._awaited[server_id] = now
            self._files.remind(server_id, UNMEASURED_FOR)
        if now - self._awaited[server_id] >= UNMEASURED_FOR:
            return False
        log.info("%s is not measured yet: %s", server_id, failed)
        self.said.pop(server_id, None)
        return True

    def _measured(self, server_id: str, reference: Reference | None = None) -> Measured:
        """Measure a server now. Raises NotMeasured."""
        return self._measured_from(self._hypervisor.describe(server_id), server_id, reference)

    def _measured_from(
        self, xml: DomainXml, server_id: str, reference: Reference | None, *, fresh: bool = True
    ) -> Measured:
        """Measure a server from libvirt's description. Raises NotMeasured.

        Where some files could not be read, all else may be proven to differ from the reference: that counts.
        """
        measured = _measured(xml, self._files.look(server_id, xml.driver, fresh=fresh))
        measured = measured.beside(None if reference is None else reference.measurement)
        unread = measured.measurement.unread
        if unread and not (reference and self._is_proven(reference, measured)):
            raise refusal(unread)
        if not unread:
            self._awaited.pop(server_id, None)
        return measured

    def _is_proven(self, reference: Reference, measured: Measured) -> bool:
        """Say whether a server differs, whatever its files are that could not be read."""
        signed, found = reference.measurement, measured.measurement
        return bool(differing(signed, found)) or is_violated(
            signed, self._bindings.of(reference.server_id), found
        )


@contextlib.contextmanager
def _measuring(server_id: str) -> Iterator[None]:
    """Raise MeasuringFailed where the content of a server breaks the agent: other servers go on."""
    try:
        yield
    except BROKEN as broken:
        log.exception("measuring %s failed", server_id)
        raise MeasuringFailed from broken


def is_as_sealed(assignment: Assignment) -> bool:
    """Say whether finding the server equal would be no news."""
    return assignment.is_valid == "true" or (
        assignment.is_valid == "unknown" and NODE_WIDE.issuperset(assignment.reasons)
    )


def is_away(assignment: Assignment) -> bool:
    """Say whether nobody vouches for a server for a reason that a sweep would end."""
    return assignment.is_valid == "unknown" and not AWAY.isdisjoint(assignment.reasons)


def _measured(xml: DomainXml, files: Files) -> Measured:
    try:
        running = None if xml.live is None else without_jobs(xml.live)
        measured = measure(xml.config, None if running is None else running.live, xml.hypervisor, files)
    except DomainXmlRefused as refused:
        raise DomainUnreadable(str(refused)) from refused
    taints = None if xml.tainted is None else counting(xml.tainted, xml.config)
    return measured.told(taints, () if running is None else running.jobs)


def _upgraded(before: Reference | None, measured: Measured) -> tuple[Finding, ...]:
    """Return what differs from a reference that another libvirt was measured for."""
    if before is None or before.measurement.hypervisor == measured.measurement.hypervisor:
        return ()
    return _explained(before, measured, differing(before.measurement, measured.measurement))


def _explained(
    reference: Reference, measured: Measured, pairs: Collection[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Return the findings about what differs; none where that breaks: it is proven without them."""
    try:
        return findings(reference.evidence, measured.evidence(), pairs) if pairs else ()
    except BROKEN:
        log.exception("what differs in %s cannot be explained", reference.server_id)
        return ()


def _bound(reference: Reference, measured: Measured, strict: Collection[Finding]) -> tuple[Finding, ...]:
    """Return the findings about host-bound parts; `strict` are the findings about the other parts."""
    try:
        return host_bound_findings(reference.evidence, measured.evidence(), strict)
    except BROKEN:
        log.exception("what is host-bound in %s cannot be explained", reference.server_id)
        return ()


def _validation(reference: Reference, task_id: str | None) -> Order:
    """Return the order to measure once more what is sealed already."""
    return Order(reference.server_id, reference.sign_id, reference.generation, task_id)


def _verdict(reference: Reference, measured: Measured, binding: Binding) -> IsValid:
    """Return what the control plane will say of that measurement."""
    signed, found = reference.measurement, measured.measurement
    pairs = differing(signed, found)
    is_strange = is_violated(signed, binding, found)
    if not pairs and not is_strange:
        return IsValid.TRUE
    if signed.profile != found.profile:
        return IsValid.UNKNOWN
    if is_strange or signed.hypervisor == found.hypervisor:
        return IsValid.FALSE
    explained = _explained(reference, measured, pairs)
    return IsValid.UNKNOWN if in_doubt(signed, found, explained) else IsValid.FALSE


def _found(measured: Measured) -> str:
    """Return what tells one finding of a server from another."""
    measurement = measured.measurement
    live = "".join(f" {name}={digest}" for name, digest in sorted(measurement.live.items()))
    bound = "".join(f" {form}={digest}" for form, digest in sorted(measurement.host_bound.items()))
    doors = "".join(f" {one}" for one in (*(measurement.hidden_doors or ()), *(measurement.taints or ())))
    files = "" if measurement.companions is None else f" {sorted(measurement.companions.read.items())}"
    return f"{measurement.profile} {measurement.hypervisor} {measurement.digest}{live}{bound}{doors}{files}"
