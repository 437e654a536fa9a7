"""The reports about measurements: signed statements of measurements, and failures to measure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sealward.events.signing import envelope as envelopes
from sealward.events.signing.statement import Statement
from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.events.cause import Cause
    from sealward.events.comparison.measurement import Finding
    from sealward.events.comparison.remeasured import Remeasured
    from sealward.node_agent.ledger.keyring import Keyring
    from sealward.node_agent.measuring.measure import Measured
    from sealward.node_agent.measuring.not_measured import NotMeasured
    from sealward.node_agent.sealing import Order

log = logging.getLogger(__name__)


class Reporter:
    """Makes the reports of one node. `send` takes a report to the control plane.

    `node_id` is the id that the control plane gave to the node; 0 before the node is registered.
    """

    def __init__(self, hostname: str, keyring: Keyring, send: Callable[[reports.AnyReport], None]) -> None:
        self.hostname = hostname
        self.send = send
        self._keyring = keyring
        self.node_id = 0

    def report(  # noqa: PLR0913 - one argument for each thing that a report says
        self,
        order: Order,
        measured: Measured,
        moment: datetime,
        cause: Cause,
        *,
        explained: tuple[Finding, ...] = (),
        host_bound: tuple[Finding, ...] = (),
        remeasured: Remeasured | None = None,
    ) -> None:
        """Report a measurement, as a statement that the node's key signs.

        `remeasured` is the reference that the measurement was compared with, if it was measured anew.
        """
        statement = Statement(
            order.server_id,
            order.sign_id,
            self.node_id,
            order.generation,
            moment,
            measured.measurement,
            measured.evidence(),
            order.task_id,
            remeasured,
        )
        report = reports.Measurement(
            hostname=self.hostname,
            server_id=order.server_id,
            envelope=envelopes.sign(statement.envelope(), self._keyring.current).to_json(),
            cause=cause,
            task_id=order.task_id,
            findings=explained,
            host_bound=host_bound,
        )
        self.send(report)

    def report_failure(self, order: Order, failed: NotMeasured, moment: datetime, cause: Cause) -> None:
        """Report that a server could not be measured, and why."""
        log.info("%s was not measured: %s", order.server_id, failed.code)
        report = reports.Failure(
            hostname=self.hostname,
            server_id=order.server_id,
            sign_id=order.sign_id,
            reason=failed.code,
            failed_at=moment,
            cause=cause,
            task_id=order.task_id,
        )
        self.send(report)
