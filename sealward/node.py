"""Wires the agent of one node: its key and ledger, its libvirt, and the bus."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sealward.events.base import utc_now
from sealward.node_agent.actions import acting_on, acting_with, writable
from sealward.node_agent.files.content.cache import Cache
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.hypervisor.connection import open_read_only
from sealward.node_agent.hypervisor.fleet import SampleFleet, sample_uri
from sealward.node_agent.ledger.keyring import KeyFolder
from sealward.node_agent.ledger.marked import MarkedLedger
from sealward.node_agent.messages.joining import joined
from sealward.node_agent.messages.trust import PinnedTrust, believed_before
from sealward.node_agent.runner import Runner, Timing, hostname_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sealward.events.bus.bus import Bus
    from sealward.node_agent.reactions import Act
    from sealward.settings import Settings


def gate_socket(settings: Settings) -> Path:
    """Return the path of the socket at which the agent answers the start gate."""
    return settings.gate_socket or settings.data_dir / "node" / "gate.sock"


class Node:
    """The agent of a node with the agent's files. It needs no database.

    `fleet` is the sample fleet that the agent watches if the settings name no libvirt. `authority` is the
    authority's public key (PEM) that the agent pins if it has pinned none yet and no invitation names a key.
    Raises AuthorityUnknown, JoinRefused, KeyRefused, OSError.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        clock: Callable[[], datetime] = utc_now,
        fleet: SampleFleet | None = None,
        authority: str | None = None,
    ) -> None:
        self.fleet = fleet or SampleFleet()
        folder = settings.data_dir / "node"
        for made in (settings.data_dir, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ledger = MarkedLedger(folder / "ledger.sqlite")
        join = joined(settings.join_file, hostname_of(self._ledger))
        given = authority if join is None else join.authority
        self.agent = Runner(
            keyring=KeyFolder(folder),
            ledger=self._ledger,
            bus=bus,
            uri=settings.libvirt_uri or sample_uri(),
            timing=Timing(sweep=settings.sweep_interval, heartbeat=settings.heartbeat),
            clock=clock,
            files=lambda tell: FileMeasurer(
                Cache(folder / "files.sqlite"), tell, settings.rehash_interval, mode=settings.files
            ),
            firmware_dirs=settings.firmware_dirs,
            gate_socket=gate_socket(settings),
            alone_for=timedelta(seconds=settings.offline_for),
            act=self._acting(settings),
            trust=PinnedTrust(
                folder,
                lambda: given or believed_before(self._ledger),
                at_first_sight=settings.authority_at_first_sight,
            ),
            folders=(settings.libvirt_config_dir, settings.libvirt_run_dir),
            saves=settings.libvirt_save_dir,
            opener=open_read_only if settings.libvirt_uri else self.fleet.open,
            invitation=None if join is None else join.key,
        )

    def _acting(self, settings: Settings) -> Act:
        """Return the function that stops servers for a policy, over a writable connection to libvirt."""
        if settings.libvirt_uri is None:
            return acting_with(lambda: self.fleet.open(sample_uri()))
        return acting_on(settings.libvirt_rw_uri or writable(settings.libvirt_uri))

    def start(self) -> None:
        """Start the agent: it connects, registers and works in the background."""
        self.agent.start()

    def stop(self) -> None:
        """Stop the agent and close the ledger."""
        self.agent.stop()
        self._ledger.close()
