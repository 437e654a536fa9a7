"""The services of the other rooms that the API's resources need, and how a write waits for its outcome."""

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
    from sealward.commands.writer.handler import Handler
    from sealward.commands.writer.unit_of_work import UnitOfWork
    from sealward.control.checkpoints import Checkpoints
    from sealward.control.leases import Leases
    from sealward.control.monitoring import Monitor
    from sealward.control.progress import Progress
    from sealward.control.webhooks.destination import Networks
    from sealward.control.webhooks.webhooks import Webhooks
    from sealward.events.store.round_trip import Prefetch
    from sealward.events.store.store import EventStore
    from sealward.http.auth.access import AccessRules
    from sealward.http.auth.identity import Identify
    from sealward.http.limits.limits import Limits
    from sealward.http.listening.traffic import Traffic
    from sealward.projections.past import Past
    from sealward.projections.signs import Signs
    from sealward.projections.store.database import Projections
    from sealward.projections.store.tables import Tables


@dataclass(frozen=True, slots=True)
class Services:
    """The one writer, the projections, and the other objects that resources need.

    `wait` is the number of seconds that a POST or PUT waits for its outcome. `public_url` is the URL that
    links begin with; links are relative where it is empty.
    """

    store: EventStore
    handler: Handler
    projections: Projections
    leases: Leases
    progress: Progress
    identify: Identify
    access_rules: AccessRules
    clock: Callable[[], datetime]
    wait: float
    past: Past
    monitor: Monitor
    limits: Limits
    traffic: Traffic
    checkpoints: Checkpoints
    webhooks: Webhooks
    webhook_networks: Networks
    public_url: str = ""
    metrics_public: bool = True
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the process ends, so that streams of events end."""

    def task_id(self) -> str:
        """Return a new task id, in the form that Celery's task ids have, and add it to the log's context."""
        task_id = str(uuid.uuid4())
        logs.add(task_id=task_id)
        return task_id

    def sign_prefetch(self, server_id: str) -> Prefetch | None:
        """Return the query for the sign of a server, to be sent together with the query for the token."""
        return self.projections.signs.prefetch(self.projections.backend, server_id)

    @contextlib.contextmanager
    def signs_at(self, at: datetime | None) -> Iterator[tuple[Signs, Tables, datetime]]:
        """Give the projection of signs as of `at`, or as of now for None, with its tables and that moment.

        Raises PastBusy.
        """
        if at is None:
            with self.projections.reading() as tables:
                yield self.projections.signs, tables, self.clock()
        else:
            with self.past.at(at) as (signs, tables):
                yield signs, tables, at

    def carry_out(self, command: Command) -> bool:
        """Hand a command to the writer, and wait until the projections show its changes.

        Return whether the projections show them after `wait` seconds. Raises Rejected.
        """
        return self.projections.wait_for(self.handler.handle(command), self.wait)

    def carry_out_together(self, work: Callable[[UnitOfWork], None]) -> None:
        """Have `work` decide over several streams in one transaction, and wait as `carry_out` does.

        Raises as `work` does.
        """
        position, _ = self.handler.together(work)
        self.projections.wait_for(position, self.wait)

    def wait_until(self, done: Callable[[Tables], bool]) -> None:
        """Wait until `done` returns True for the projections' tables, for `wait` seconds at most."""
        self.projections.wait_until(done, self.wait)
