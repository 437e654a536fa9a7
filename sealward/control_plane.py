"""The control plane on the embedded default: SQLite files, one process, the bus it is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sealward.commands import reports
from sealward.commands.control import ControlDatabase
from sealward.commands.handler import Handler
from sealward.commands.intake import Intake
from sealward.commands.leases import LeaseKeeper, Leases
from sealward.commands.tokens import Tokens
from sealward.events import keys
from sealward.events import store as stores
from sealward.events.relay import Relay
from sealward.http.app import create_app
from sealward.http.door import Door
from sealward.projections.database import Projections
from sealward.projections.runner import Runner
from sealward.projections.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import falcon
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from sealward.commands.node import Node
    from sealward.events.bus import Bus
    from sealward.events.store import EventStore
    from sealward.settings import Settings


@dataclass(frozen=True, slots=True)
class Files:
    """Where the control plane keeps what, under its data directory."""

    data_dir: Path

    @property
    def log(self) -> Path:
        """Return the log of events: all there is to keep."""
        return self.data_dir / "log.sqlite"

    @property
    def rows(self) -> Path:
        """Return the projections: they can be deleted, the log gives them again."""
        return self.data_dir / "rows.sqlite"

    @property
    def control(self) -> Path:
        """Return the tokens and leases."""
        return self.data_dir / "control.sqlite"

    @property
    def authority(self) -> Path:
        """Return the authority's private key."""
        return self.data_dir / "authority.pem"


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


class ControlPlane:
    """All of the control plane, wired; `app` is its WSGI application."""

    def __init__(self, settings: Settings, bus: Bus, clock: Callable[[], datetime] = utc_now) -> None:
        files = Files(settings.data_dir)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = keys.private_key(settings.authority_key or files.authority)
        keys.publish(authority.public_key(), settings.data_dir / "authority.pub")
        self.store = stores.sqlite(files.log)
        self.projections = Projections(SqliteBackend(files.rows))
        self._control = ControlDatabase(files.control)
        leases = Leases(self._control)
        self.handler = Handler(
            self.store, authority, clock=clock, fresh_for=timedelta(seconds=settings.fresh_for)
        )
        assignments = Assignments(self.store, self.projections, authority.public_key(), settings.wait)
        intake = Intake(self.handler, leases, bus, assignments.of, clock)
        self._runner = Runner(self.store, self.projections)
        self._relay = Relay(self.store, bus, self.store.head())
        self._reports = bus.consumer(reports.QUEUE, intake.take)
        self._keeper = LeaseKeeper(leases, self.handler, timedelta(seconds=settings.lease), clock)
        self.tokens = Tokens(self._control, clock, settings.admin_token)
        self.app: falcon.App[Any, Any] = create_app(
            Door(self.handler, self.projections, leases, self.tokens, clock, settings.wait)
        )

    def start(self) -> None:
        """Catch up with the log, then work in the background."""
        self._runner.start()
        self._relay.start()
        self._reports.start()
        self._keeper.start()

    def stop(self) -> None:
        """Finish what is at hand, end all threads, close all files."""
        self._keeper.stop()
        self._reports.stop()
        self._relay.stop()
        self._runner.stop()
        self.projections.close()
        self._control.close()
        self.store.close()


class Assignments:
    """What a node has to know when it registers, read from the projections."""

    def __init__(
        self, store: EventStore, projections: Projections, authority: Ed25519PublicKey, wait: float
    ) -> None:
        self._store = store
        self._projections = projections
        self._authority = keys.public_pem(authority)
        self._wait = wait

    def of(self, node: Node) -> reports.Desired:
        """Return all that a node has to know, not older than this call."""
        self._projections.wait_for(self._store.head(), self._wait)
        with self._projections.snapshot() as tables:
            position = self._projections.position(tables)
            signs = self._projections.signs.page(tables, now=utc_now(), node_id=node.node_id)
            tasks = self._projections.tasks.waiting(tables, node.node_id)
        assignments = tuple(
            reports.Assignment(
                row.sign_id,
                row.server_id,
                row.ordered,
                row.sealed,
                row.verdict.is_valid.value,
                row.verdict.reasons,
                row.envelope,
            )
            for row in signs
        )
        duties = tuple(reports.Duty(row.task_id, row.action, row.server_id) for row in tasks)
        return reports.Desired(node.node_id, position, node.active, self._authority, assignments, duties)
