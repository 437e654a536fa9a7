"""Control plane, one node and HTTP in one process: what `sealward run` starts, and the tests."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sealward.control_plane import Core, Worker
from sealward.events.base import utc_now
from sealward.events.bus.bus import Bus
from sealward.http.listening.listener import Listener
from sealward.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.node_agent.hypervisor.fleet import SampleFleet
    from sealward.settings import Settings


class Embedded:
    """One process, one node; `fleet` is the sample fleet where no libvirt is named in the settings."""

    def __init__(
        self, settings: Settings, clock: Callable[[], datetime] = utc_now, fleet: SampleFleet | None = None
    ) -> None:
        self._bus = Bus("memory://", f"sealward-{uuid.uuid4().hex}")
        self.control_plane = Core(settings, clock)
        self._worker = Worker(self.control_plane, settings, self._bus, clock)
        self._node = Node(settings, self._bus, clock, fleet, self.control_plane.authority_pem)
        self.agent = self._node.agent
        self.fleet = self._node.fleet
        core = self.control_plane
        self.listener = Listener(core.app, *settings.listen, settings.serving, core.traffic)

    def start(self) -> None:
        """Start everything; the node last, for it registers at once."""
        self._worker.start()
        self.listener.start()
        self._node.start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the node has said which servers it has."""
        projections = self.control_plane.projections
        return projections.wait_until(lambda tables: bool(projections.servers.page(tables, limit=1)), timeout)

    def stop(self) -> None:
        """End everything in the reverse order."""
        self.control_plane.closing.set()
        self.listener.stop()
        self._node.stop()
        self._worker.stop()
        self.control_plane.close()
        self._bus.close()
