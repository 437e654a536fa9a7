"""The control plane, a node's agent and the HTTP server in one process, for `sealward run` and for tests."""

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
    """A control plane and the agent of one node, wired to each other in this process.

    `fleet` is the sample fleet that the agent watches if the settings name no libvirt.
    """

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
        """Start all parts. The node starts last, because it registers at once."""
        self._worker.start()
        self.listener.start()
        self._node.start()

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the node has reported a server; say whether it has within `timeout` seconds."""
        projections = self.control_plane.projections
        return projections.wait_until(lambda tables: bool(projections.servers.page(tables, limit=1)), timeout)

    def stop(self) -> None:
        """Stop all parts in the reverse order."""
        self.control_plane.closing.set()
        self.listener.stop()
        self._node.stop()
        self._worker.stop()
        self.control_plane.close()
        self._bus.close()
