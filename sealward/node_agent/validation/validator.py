"""Validation of one node's servers: measure, compare with the reference, and report news."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealward.events.cause import Cause
from sealward.events.is_valid import IsValid
from sealward.events.verdict_reason import VerdictReason
from sealward.node_agent.files.refusals import FilesBeingMeasured
from sealward.node_agent.hypervisor.failures import DomainLocked, HypervisorGone
from sealward.node_agent.measuring.not_measured import NotMeasured
from sealward.node_agent.sealing import Order
from sealward.node_agent.validation.comparison import EQUAL, after_upgrade
from sealward.node_agent.validation.measurer import measuring
from sealward.node_agent.validation.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from sealward.node_agent.ledger.bindings import Bindings
    from sealward.node_agent.ledger.references import Reference
    from sealward.node_agent.validation.comparison import Comparison
    from sealward.node_agent.validation.measurer import Described, ServerMeasurer
    from sealward.node_agent.validation.reported import Reported
    from sealward.node_agent.validation.reporter import Reporter
    from sealward.protocol.desired import Assignment

AWAY: Final[frozenset[str]] = frozenset(
    (VerdictReason.NODE_LOST, VerdictReason.NODE_DEACTIVATED, HypervisorGone.code)
)
"""Reasons of an unknown verdict that concern a whole node, and end when the node sweeps."""
NODE_WIDE: Final = AWAY | {VerdictReason.STALE}
"""Reasons of an unknown verdict that a sweep clears without a report about each server."""


class Validator:
    """Validates the servers of one node, for the thread of one agent. `moment` gives ever later times."""

    def __init__(
        self,
        measurer: ServerMeasurer,
        bindings: Bindings,
        reported: Reported,
        reporter: Reporter,
        moment: Callable[[], datetime],
    ) -> None:
        self._measurer = measurer
        self._bindings = bindings
        self._reported = reported
        self._reporter = reporter
        self._moment = moment

    def seal(self, order: Order, before: Reference | None = None) -> bool:
        """Measure a server for its new reference; say whether the server could be measured.

        Where another version of libvirt measured the reference `before`, the report has the differences from
        that reference: the upgrade of libvirt may be why the server is signed anew.
        """
        moment = self._moment()
        try:
            with measuring(order.server_id):
                measured = self._measurer.measure(order.server_id)
                explained = after_upgrade(before, measured)
        except FilesBeingMeasured as later:
            if self._reported.result(order.server_id) not in (EQUAL, later.code):
                self._report_failure(order, later, moment, Cause.SEALED)
            return False
        except NotMeasured as failed:
            self._report_failure(order, failed, moment, Cause.SEALED)
            return False
        remeasured = None if before is None else before.remeasured
        self._reporter.report(
            order, measured, moment, Cause.SEALED, explained=explained, remeasured=remeasured
        )
        return True

    def refuse(self, server_id: str, sign_id: int, failed: NotMeasured, task_id: str | None) -> None:
        """Report that a server cannot be validated although a task asks for it."""
        self._report_failure(Order(server_id, sign_id, 0, task_id), failed, self._moment(), Cause.REQUESTED)

    def validate(
        self, reference: Reference, cause: Cause, task_id: str | None = None, *, is_new: bool = False
    ) -> None:
        """Compare a server with its reference; report a new result, or any result that a task asks for.

        While files of the server are being measured, the recorded verdict stands for UNMEASURED_FOR seconds.
        A failure of libvirt is reported by sweeps: a sweep follows when libvirt is lost, and another when
        libvirt answers again. The sweep at the loss did not cover a reference that `is_new`, so a failure to
        measure that server is reported by itself.
        """
        moment = self._moment()
        try:
            with measuring(reference.server_id):
                self._report_news(self._measurer.compare(reference), moment, cause, task_id)
        except NotMeasured as failed:
            if self._waits_for_files(reference.server_id, failed):
                return
            if task_id is not None or (is_new and isinstance(failed, HypervisorGone)):
                self._report_failure(_validation(reference, task_id), failed, moment, cause)
            else:
                self._report_own_failure(reference, failed, moment, cause)

    def sweep(
        self,
        references: Iterable[Reference],
        sealing: Collection[str],
        unsigned: int,
        cause: Cause,
        task_id: str | None,
    ) -> None:
        """Validate all servers. One report vouches for every server whose result is reported already.

        The report does not vouch for the servers of `sealing`: the control plane may have another reference
        of them in force by now. `unsigned` is the number of servers of the node without a sign.
        """
        started_at = self._moment()
        sweep = Sweep(sealing)
        for described in self._measurer.described(references, self._moment):
            try:
                with measuring(described.reference.server_id):
                    self._sweep_one(described, sweep, cause)
            except NotMeasured as failed:
                self._withhold(described, failed, sweep, cause)
        self._send(sweep, started_at, unsigned, cause, task_id)

    def withhold_all(self, references: Iterable[Reference], unsigned: int, task_id: str | None) -> None:
        """Report that this node vouches for no server any more: validation was switched off."""
        reason = VerdictReason.NODE_DEACTIVATED
        sweep = Sweep(withheld={reason: [one.sign_id for one in references]})
        sweep.counts["unknown"] = len(sweep.withheld[reason])
        self._send(sweep, self._moment(), unsigned, Cause.NODE_DEACTIVATED, task_id)

    def _send(
        self, sweep: Sweep, started_at: datetime, unsigned: int, cause: Cause, task_id: str | None
    ) -> None:
        self._reporter.send(sweep.report(self._reporter.hostname, started_at, unsigned, cause, task_id))

    def _sweep_one(self, described: Described, sweep: Sweep, cause: Cause) -> None:
        reference = described.reference
        found = self._measurer.compare_described(described.xml(), reference, fresh=False)
        verdict = found.verdict
        self._reported.note_difference(reference.server_id, is_different=found.is_changed)
        is_recorded = self._reported.is_recorded(found)
        if not is_recorded:
            self._reported.report_again(reference.server_id)
        elif verdict is IsValid.UNKNOWN:
            sweep.withhold(VerdictReason.IN_DOUBT, reference.sign_id)
        if verdict is IsValid.TRUE:
            self._bindings.ran(reference.server_id, found.measured.expanded)
        if not is_recorded or found.is_news or self._reported.has_other_jobs(found):
            self._report_news(found, described.moment, cause, None)
        if verdict is IsValid.TRUE and reference.server_id not in sweep.sealing:
            sweep.vouched.append(reference.sign_id)
        sweep.counts[verdict.value] += 1
        sweep.lines.append(f"{reference.sign_id} {found.digests}")

    def _withhold(self, described: Described, failed: NotMeasured, sweep: Sweep, cause: Cause) -> None:
        """Have a sweep not vouch for a server that could not be measured or compared."""
        reference = described.reference
        if not self._waits_for_files(reference.server_id, failed):
            self._report_own_failure(reference, failed, described.moment, cause)
            sweep.withhold(failed.code, reference.sign_id)
        sweep.counts["unknown"] += 1
        sweep.lines.append(f"{reference.sign_id} {failed.code}")

    def _report_news(self, found: Comparison, moment: datetime, cause: Cause, task_id: str | None) -> None:
        """Report a comparison, unless its result is reported already and no task asks for it."""
        server_id = found.reference.server_id
        self._reported.note_difference(server_id, is_different=found.is_changed)
        if found.is_equal:
            self._bindings.ran(server_id, found.measured.expanded)
        is_known = self._reported.result(server_id) == found.result and not found.is_news
        is_changed_back = cause is Cause.CHANGED_BACK and is_known
        is_changed_back = is_changed_back and self._reported.may_tell_of_change_back(server_id, moment)
        if cause is Cause.CHANGED_BACK and not is_changed_back:
            cause = Cause.DOMAIN_CHANGED
        is_told = task_id is not None or is_changed_back or self._reported.has_other_jobs(found)
        if is_known and not is_told:
            return
        is_shown = not found.is_equal or found.is_news
        self._reporter.report(
            _validation(found.reference, task_id),
            found.measured,
            moment,
            cause,
            explained=tuple(self._measurer.localised(one) for one in found.findings),
            host_bound=found.host_bound_findings() if is_shown else (),
            remeasured=found.reference.remeasured,
        )
        self._reported.note_comparison(found)
        if not is_known:
            self._reported.note_news(server_id, moment)

    def _report_failure(self, order: Order, failed: NotMeasured, moment: datetime, cause: Cause) -> None:
        self._reporter.report_failure(order, failed, moment, cause)
        self._reported.note(order.server_id, failed.code)

    def _report_own_failure(
        self, reference: Reference, failed: NotMeasured, moment: datetime, cause: Cause
    ) -> None:
        """Report a failure that concerns this server alone, where that is news.

        A failure of libvirt concerns all servers: sweeps report its begin and its end.
        """
        is_own = not isinstance(failed, HypervisorGone | DomainLocked)
        if is_own and self._reported.result(reference.server_id) != failed.code:
            self._report_failure(_validation(reference, None), failed, moment, cause)

    def _waits_for_files(self, server_id: str, failed: NotMeasured) -> bool:
        """Say whether a report about a server waits until its files have been read.

        The result that is found after that is news.
        """
        waits = self._measurer.waits_for_files(server_id, failed)
        if waits:
            self._reported.report_again(server_id)
        return waits


def is_as_sealed(assignment: Assignment) -> bool:
    """Say whether it is no news to the control plane that the server of an assignment is equal."""
    return assignment.is_valid == "true" or (
        assignment.is_valid == "unknown" and NODE_WIDE.issuperset(assignment.reasons)
    )


def is_away(assignment: Assignment) -> bool:
    """Say whether the verdict of an assignment is unknown for a reason that ends with a sweep."""
    return assignment.is_valid == "unknown" and not AWAY.isdisjoint(assignment.reasons)


def _validation(reference: Reference, task_id: str | None) -> Order:
    """Return the order to measure a server that is sealed already."""
    return Order(reference.server_id, reference.sign_id, reference.generation, task_id)
