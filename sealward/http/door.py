"""What the resources need of the rooms behind them, and how a write waits for its outcome."""

from __future__ import annotations

import contextlib
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sealward import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sealward.commands.messages import Command
    from sealward.commands.writer.batch import Batch
    from sealward.commands.writer.handler import Handler
    from sealward.control.leases import Leases
    from sealward.control.monitoring import Monitor
    from sealward.control.progress import Progress
    from sealward.events.store.round_trip import Along
    from sealward.events.store.store import EventStore
    from sealward.http.auth.identity import Identify
    from sealward.http.auth.policy import Policy
    from sealward.http.limits.limits import Limits
    from sealward.http.listening.traffic import Traffic
    from sealward.projections.database import Projections
    from sealward.projections.past import Past
    from sealward.projections.signs import Signs
    from sealward.projections.tables import Tables


@dataclass(frozen=True, slots=True)
class Door:
    """The handler that takes commands and the projections that answer.

    `wait` is how many seconds a POST or PUT waits for its seal. `public_url` is what links begin with.
    """

    store: EventStore
    handler: Handler
    projections: Projections
    leases: Leases
    progress: Progress
    identify: Identify
    policy: Policy
    clock: Callable[[], datetime]
    wait: float
    past: Past
    monitor: Monitor
    limits: Limits
    traffic: Traffic
    public_url: str = ""
    metrics_public: bool = True
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the process ends: streams end, too."""

    def task_id(self) -> str:
        """Return a fresh task id, as Celery makes them."""
        task_id = str(uuid.uuid4())
        logs.add(task_id=task_id)
        return task_id

    def sign_along(self, server_id: str) -> Along | None:
        """Return the question for the sign of a server, to go along with the one for the token."""
        return self.projections.signs.along(self.projections.backend, server_id)

    @contextlib.contextmanager
    def signs_at(self, at: datetime | None) -> Iterator[tuple[Signs, Tables, datetime]]:
        """Give the signs as they are known, or were at that moment, and the moment to read them for."""
        if at is None:
            with self.projections.reading() as tables:
                yield self.projections.signs, tables, self.clock()
        else:
            with self.past.at(at) as (signs, tables):
                yield signs, tables, at

    def carry_out(self, command: Command) -> None:
        """Have a command carried out; what it changed is seen by every GET that follows.

        Raises Rejected.
        """
        self.projections.wait_for(self.handler.handle(command), self.wait)

    def carry_out_together(self, work: Callable[[Batch], None]) -> None:
        """Do the same with what `work` decides over several streams. Raises what `work` raises."""
        position, _ = self.handler.together(work)
        self.projections.wait_for(position, self.wait)

    def wait_until(self, done: Callable[[Tables], bool]) -> None:
        """Wait for the outcome that the nodes bring about, as long as waiting is allowed."""
        self.projections.wait_until(done, self.wait)
