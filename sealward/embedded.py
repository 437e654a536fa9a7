"""Control plane, one node agent and HTTP in one process: what `sealward run` starts, and the tests."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sealward.control_plane import Core, Worker, utc_now
from sealward.events import keys
from sealward.events.bus import Bus
from sealward.http.listener import Listener
from sealward.node_agent.agent import Agent, Timing
from sealward.node_agent.fleet import SampleFleet, sample_uri
from sealward.node_agent.hypervisor import open_read_only
from sealward.node_agent.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.settings import Settings


class Embedded:
    """One process, one node; `fleet` is the sample fleet where no libvirt is named in the settings."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = utc_now, fleet: SampleFleet | None = None
    ) -> None:
        self.fleet = fleet or SampleFleet()
        self._bus = Bus("memory://", f"sealward-{uuid.uuid4().hex}")
        self.control_plane = Core(settings, clock)
        self._worker = Worker(self.control_plane, settings, self._bus, clock)
        node = settings.data_dir / "node"
        self._ledger = Ledger(node / "ledger.sqlite")
        key = keys.private_key(node / "key.pem")
        keys.publish(key.public_key(), node / "key.pub")
        self.agent = Agent(
            key=key,
            ledger=self._ledger,
            bus=self._bus,
            uri=settings.libvirt_uri or sample_uri(),
            timing=Timing(sweep=settings.sweep_interval, heartbeat=settings.lease / 3),
            clock=clock,
            opener=open_read_only if settings.libvirt_uri else self.fleet.open,
        )
        self.listener = Listener(self.control_plane.app, *settings.listen)

    def start(self) -> None:
        """Start everything; the agent last, for it registers at once."""
        self._worker.start()
        self.listener.start()
        self.agent.start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the node has said which servers it has."""
        projections = self.control_plane.projections
        return projections.wait_until(lambda tables: bool(projections.servers.page(tables, limit=1)), timeout)

    def stop(self) -> None:
        """End everything in the reverse order."""
        self.listener.stop()
        self.agent.stop()
        self._worker.stop()
        self.control_plane.close()
        self._ledger.close()
        self._bus.close()
