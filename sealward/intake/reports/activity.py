"""Records what reports say about the activity of nodes outside the log: leases, progress, heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.protocol import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sealward.control.leases import Leases
    from sealward.control.progress import Progress
    from sealward.control.set_aside import SetAside
    from sealward.projections.celery_events import CeleryEvents


class NodeActivity:
    """The control tables and Celery's events that follow from the reports which the intake has accepted."""

    def __init__(
        self,
        leases: Leases,
        progress: Progress,
        set_aside: SetAside,
        celery: CeleryEvents,
        clock: Callable[[], datetime],
    ) -> None:
        self._leases = leases
        self._progress = progress
        self._set_aside = set_aside
        self._celery = celery
        self._clock = clock

    def record(self, batch: Sequence[reports.AnyReport]) -> None:
        """Record a batch of accepted reports. Raises StoreUnavailable and BusUnavailable."""
        now = self._clock()
        self._leases.touch({one.hostname for one in batch}, now)
        self._progress.hear(batch, now)
        self._set_aside.hear(batch)
        for hostname in {one.hostname for one in batch if isinstance(one, reports.Heartbeat)}:
            self._celery.heard(hostname)
