"""Measure servers, hold them against their references, and report what is news."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sealward.commands import reports
from sealward.events import envelope as envelopes
from sealward.events import ranges
from sealward.events.measurement import differing, rebound
from sealward.events.statement import Statement
from sealward.node_agent.canonical import DomainXmlRefused
from sealward.node_agent.files.refusals import FilesBeingMeasured, FilesNotMeasured
from sealward.node_agent.findings import findings, host_bound_findings
from sealward.node_agent.hypervisor import DomainUnreadable, HypervisorGone
from sealward.node_agent.measure import Measured, measure, unread
from sealward.node_agent.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealward.events.measurement import Finding
    from sealward.node_agent.files.measurer import FileMeasurer
    from sealward.node_agent.hypervisor import DomainXml, Hypervisor
    from sealward.node_agent.measure import Files
    from sealward.node_agent.references import Reference

log = logging.getLogger(__name__)

EQUAL: Final = "equal"
"""What is said of a server that was found equal; of others it is a digest of what was found, or a reason."""

FILES: Final = "files"
"""The section that is measured from files."""


@dataclass(frozen=True, slots=True)
class Order:
    """An administrator's order to seal what a server is now, as `generation` of a sign."""

    server_id: str
    sign_id: int
    generation: int
    task_id: str | None
    sent: bool = False
    """Whether its measurement is on the way to the control plane."""


@dataclass(slots=True)
class _Sweep:
    """What a sweep has found so far."""

    vouched: list[int] = field(default_factory=list)
    withheld: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"true": 0, "false": 0, "unknown": 0})
    lines: list[str] = field(default_factory=list)


class Validator:
    """One node's measuring. `moment` gives ever later times; `send` takes a report to the control plane.

    What was said of each server is remembered, so that only news is reported.
    """

    def __init__(  # noqa: PLR0913 - what measuring, judging and reporting need
        self,
        hypervisor: Hypervisor,
        files: FileMeasurer,
        *,
        hostname: str,
        key: Ed25519PrivateKey,
        moment: Callable[[], datetime],
        send: Callable[[reports.AnyReport], None],
    ) -> None:
        self._hypervisor = hypervisor
        self._files = files
        self._hostname = hostname
        self._key = key
        self._moment = moment
        self._send = send
        self.node_id = 0
        self.said: dict[str, str] = {}
        self._bound: dict[str, tuple[int, Mapping[str, str]]] = {}
        """By server the host-bound parts that were reported last, and for which generation."""

    def seal(self, order: Order) -> bool:
        """Measure a server for its new reference; say whether it could be."""
        moment = self._moment()
        try:
            measured = self._measured(order.server_id)
        except FilesBeingMeasured as later:
            if self.said.get(order.server_id) not in (EQUAL, later.code):
                self._report_failure(order.server_id, later, moment, "sealed", order.task_id)
            return False
        except NotMeasured as failed:
            self._report_failure(order.server_id, failed, moment, "sealed", order.task_id)
            return False
        self._report(order, measured, moment, "sealed")
        return True

    def refuse(self, server_id: str, failed: NotMeasured, cause: str, task_id: str | None) -> None:
        """Report that a server cannot be measured."""
        self._report_failure(server_id, failed, self._moment(), cause, task_id)

    def validate(self, reference: Reference, cause: str, task_id: str | None = None) -> bool:
        """Compare a server with its reference; report what is news, and whatever a task asked for.

        Say whether that is done: False while files are being measured, and what is known stands.
        """
        moment = self._moment()
        try:
            measured = self._measured(reference.server_id, reference)
        except FilesBeingMeasured as later:
            self._await(reference.server_id, later)
            return False
        except NotMeasured as failed:
            # Without libvirt, the sweep that follows says it for all servers at once.
            is_news = self.said.get(reference.server_id) != failed.code and not isinstance(
                failed, HypervisorGone
            )
            if task_id is not None or is_news:
                self._report_failure(reference.server_id, failed, moment, cause, task_id)
            return True
        self._compare(reference, measured, moment, cause, task_id)
        return True

    def sweep(self, references: Iterable[Reference], unsigned: int, cause: str, task_id: str | None) -> None:
        """Look at all servers; those found as they were last said to be cost no report of their own."""
        started_at = self._moment()
        sweep = _Sweep()
        for reference in references:
            self._sweep_one(reference, sweep, cause)
        self._finish(sweep, started_at, unsigned, cause, task_id)

    def withhold_all(
        self, references: Iterable[Reference], unsigned: int, reason: str, task_id: str | None
    ) -> None:
        """Say that nothing is vouched for any more."""
        sweep = _Sweep(withheld={reason: [one.sign_id for one in references]})
        sweep.counts["unknown"] = len(sweep.withheld[reason])
        self._finish(sweep, self._moment(), unsigned, reason, task_id)

    def _sweep_one(self, reference: Reference, sweep: _Sweep, cause: str) -> None:
        moment = self._moment()
        try:
            measured = self._measured(reference.server_id, reference, fresh=False)
        except FilesBeingMeasured as later:
            self._await(reference.server_id, later)
            sweep.counts["unknown"] += 1
            sweep.lines.append(f"{reference.sign_id} {later.code}")
            return
        except NotMeasured as failed:
            sweep.withheld.setdefault(failed.code, []).append(reference.sign_id)
            sweep.counts["unknown"] += 1
            sweep.lines.append(f"{reference.sign_id} {failed.code}")
            return
        known = self.said.get(reference.server_id) == EQUAL
        is_equal = not differing(reference.measurement, measured.measurement)
        if is_equal and known:
            sweep.vouched.append(reference.sign_id)
        if not (is_equal and known) or self._is_rebound(reference, measured):
            self._compare(reference, measured, moment, cause, None)
        sweep.counts["true" if is_equal else "false"] += 1
        sweep.lines.append(f"{reference.sign_id} {_found(measured)}")

    def _finish(
        self, sweep: _Sweep, started_at: datetime, unsigned: int, cause: str, task_id: str | None
    ) -> None:
        withheld = (reports.Withheld(reason, ranges.render(ids)) for reason, ids in sweep.withheld.items())
        report = reports.Sweep(
            hostname=self._hostname,
            cause=cause,
            started_at=started_at,
            vouched=ranges.render(sweep.vouched),
            withheld=tuple(one for one in withheld if one.sign_ids),
            counts=sweep.counts | {"unsigned": unsigned},
            digest=hashlib.sha256("\n".join(sweep.lines).encode()).hexdigest(),
            task_id=task_id,
        )
        self._send(report)

    def _compare(
        self, reference: Reference, measured: Measured, moment: datetime, cause: str, task_id: str | None
    ) -> None:
        pairs = differing(reference.measurement, measured.measurement)
        found = _found(measured) if pairs else EQUAL
        moved = not pairs and self._is_rebound(reference, measured)
        if task_id is None and self.said.get(reference.server_id) == found and not moved:
            return
        order = Order(reference.server_id, reference.sign_id, reference.generation, task_id)
        explained, bound = _explained(reference, measured, pairs, moved=moved)
        explained = tuple(self._files.localised(one) for one in explained)
        self._report(order, measured, moment, cause, explained=explained, host_bound=bound)
        self.said[reference.server_id] = found
        if moved:
            self._bound[reference.server_id] = (reference.generation, measured.measurement.host_bound)

    def _is_rebound(self, reference: Reference, measured: Measured) -> bool:
        """Say whether host-bound parts are news."""
        generation, last = self._bound.get(reference.server_id, (0, {}))
        if generation != reference.generation:
            last = reference.measurement.host_bound
        return rebound(reference.measurement, last, measured.measurement)

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
        )
        report = reports.Measurement(
            hostname=self._hostname,
            server_id=order.server_id,
            envelope=envelopes.sign(statement.envelope(), self._key).to_json(),
            cause=cause,
            task_id=order.task_id,
            findings=explained,
            host_bound=host_bound,
        )
        self._send(report)

    def _report_failure(
        self, server_id: str, failed: NotMeasured, moment: datetime, cause: str, task_id: str | None
    ) -> None:
        log.info("%s was not measured: %s", server_id, failed.code)
        report = reports.Failure(
            hostname=self._hostname,
            server_id=server_id,
            reason=failed.code,
            failed_at=moment,
            cause=cause,
            task_id=task_id,
        )
        self._send(report)
        self.said[server_id] = failed.code

    def _await(self, server_id: str, later: FilesBeingMeasured) -> None:
        """Say nothing until the files have been read; what is found then is news."""
        log.info("%s is not measured yet: %s", server_id, later)
        self.said.pop(server_id, None)

    def _measured(
        self, server_id: str, reference: Reference | None = None, *, fresh: bool = True
    ) -> Measured:
        """Measure a server. Raises NotMeasured.

        Where files keep it from being measured, the XML alone may differ from the reference: that counts.
        """
        xml = self._hypervisor.describe(server_id)
        try:
            return _measured(xml, self._files.look(server_id, xml.driver, fresh=fresh))
        except FilesNotMeasured as failed:
            if reference is None:
                raise
            measured = _measured(xml, unread(failed.code))
            differs = differing(reference.measurement, measured.measurement)
            if all(section == FILES for section, _ in differs):
                raise
            return measured


def _measured(xml: DomainXml, files: Files) -> Measured:
    try:
        return measure(xml.config, xml.live, xml.hypervisor, files)
    except DomainXmlRefused as refused:
        raise DomainUnreadable(str(refused)) from refused


def _explained(
    reference: Reference, measured: Measured, pairs: tuple[tuple[str, str], ...], *, moved: bool
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Return the findings about violations, and those about host-bound parts."""
    if pairs:
        return findings(reference.evidence, measured.evidence(), pairs), ()
    return (), host_bound_findings(reference.evidence, measured.evidence()) if moved else ()


def _found(measured: Measured) -> str:
    """Return what tells one finding of a server from another."""
    measurement = measured.measurement
    live = "".join(f" {name}={digest}" for name, digest in sorted(measurement.live.items()))
    return f"{measurement.profile} {measurement.hypervisor} {measurement.digest}{live}"
