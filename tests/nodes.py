"""A private node and its guests, changed behind Sealward's back; and Sealward watching it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import libvirt
import running
from running import until

from sealward.settings import Settings
from stack.guest import READY, Guest
from stack.libvirtd import Libvirtd, other_root

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


@contextlib.contextmanager
def private_node(hypervisors: Path, hostname: str, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Yield a node without domains and without an agent."""
    folder = Path(tempfile.mkdtemp(prefix=f"{hostname}-", dir=hypervisors))
    daemon = Libvirtd(folder, hostname, known_of_qemu, other_root())
    node = PrivateNode(daemon)
    try:
        daemon.start()
        yield node
    finally:
        node.close()
        daemon.close()
        shutil.rmtree(folder, ignore_errors=True)


class PrivateNode:
    """A private libvirtd and a connection to it that may everything."""

    def __init__(self, daemon: Libvirtd) -> None:
        self.daemon = daemon
        self._connection: libvirt.virConnect | None = None

    @property
    def connection(self) -> libvirt.virConnect:
        """Return a connection: a new one when the last was lost."""
        if self._connection is None or not self._connection.isAlive():
            self._connection = libvirt.open(self.daemon.uri)
        return self._connection

    @property
    def guests(self) -> Path:
        """Return the folder for the files of its guests."""
        return self.daemon.folder / "guests"

    def define(self, guest: Guest) -> Running:
        """Make a guest's files and define it."""
        self.connection.defineXML(guest.make().xml)
        return Running(self, guest)

    def run(self, guest: Guest) -> Running:
        """Define a guest and start it."""
        defined = self.define(guest)
        defined.domain.create()
        return defined

    def restart(self) -> None:
        """Restart the daemon; guests go on running."""
        self._disconnect()
        self.daemon.stop()
        self.daemon.start()

    def settings(self, **more: object) -> Settings:
        """Return the settings of an agent on this node."""
        here = Settings(
            libvirt_uri=self.daemon.read_only_uri,
            libvirt_config_dir=self.daemon.config_dir,
            libvirt_run_dir=self.daemon.run_dir,
            libvirt_save_dir=self.daemon.folder / "lib" / "qemu" / "save",
        )
        return replace(here, **more)  # type: ignore[arg-type]  # replace() checks the names

    def close(self) -> None:
        """Close the connection; a hung daemon goes on, or this would wait for ever."""
        self.daemon.resume()
        self._disconnect()

    def _disconnect(self) -> None:
        """Close the connection: a daemon that ends lets it look alive for a moment."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()


@dataclass
class Running:
    """A guest of a node."""

    node: PrivateNode
    guest: Guest

    @property
    def server_id(self) -> str:
        """Return the UUID."""
        return self.guest.server_id

    @property
    def domain(self) -> libvirt.virDomain:
        """Return it as libvirt knows it."""
        return self.node.connection.lookupByUUIDString(self.server_id)

    @property
    def config(self) -> str:
        """Return its persistent form."""
        return str(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def redefine(self, old: str, new: str) -> None:
        """Define it anew with one text of its XML replaced, as `virsh edit` does."""
        xml = str(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
        assert old in xml
        self.node.connection.defineXML(xml.replace(old, new))

    def wait_booted(self) -> None:
        """Wait until the guest's own system is up."""
        until(lambda: READY in self.guest.console.read_text(errors="replace"), 60)


@contextlib.contextmanager
def watching(node: PrivateNode, **more: object) -> Iterator[running.Running]:
    """Run Sealward with its agent on that node."""
    with (
        tempfile.TemporaryDirectory(prefix="sw-") as folder,
        running.running(Path(folder), settings=node.settings(**more)) as sealward,
    ):
        yield sealward


def timed(change: Callable[[], object], done: Callable[[], bool]) -> float:
    """Make a change; return the seconds from its end until `done`."""
    change()
    return until(done)
