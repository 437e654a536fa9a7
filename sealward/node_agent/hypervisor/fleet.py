"""The sample fleet: four nova-like domains on libvirt's `test` driver, for trying Sealward without a host."""

from __future__ import annotations

from pathlib import Path

import libvirt


def sample_uri() -> str:
    """Return the URI of the sample fleet. Each connection to it is a fleet of its own (libvirt 9.0)."""
    return f"test://{Path(__file__).with_name('sample_fleet.xml').resolve()}"


class SampleFleet:
    """A fleet that demos and tests change while an agent watches it.

    Pass `open` to the Hypervisor as its opener: both must share the connection.
    """

    def __init__(self) -> None:
        self._connection: libvirt.virConnect | None = None

    def open(self, uri: str) -> libvirt.virConnect:
        """Open the connection once; every later caller gets the same connection."""
        if self._connection is None:
            self._connection = libvirt.open(uri)
        return self._connection

    def server_ids(self) -> list[str]:
        """Return the ids of the domains in their order."""
        return sorted(domain.UUIDString() for domain in self._shared().listAllDomains())

    def xml(self, server_id: str) -> str:
        """Return the persistent XML of a domain."""
        return str(self._domain(server_id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def define(self, xml: str) -> None:
        """Define a domain, or define it anew."""
        self._shared().defineXML(xml)

    def replace(self, server_id: str, old: str, new: str) -> None:
        """Define a domain anew with one text of its XML replaced."""
        xml = self.xml(server_id)
        if old not in xml:
            raise ValueError(f"{old!r} is not in the XML of {server_id}")
        self.define(xml.replace(old, new))

    def start(self, server_id: str) -> None:
        """Start a domain."""
        self._domain(server_id).create()

    def stop(self, server_id: str) -> None:
        """Switch a domain off."""
        self._domain(server_id).destroy()

    def remove(self, server_id: str) -> None:
        """Stop and undefine a domain."""
        domain = self._domain(server_id)
        if domain.isActive():
            domain.destroy()
        domain.undefine()

    def _domain(self, server_id: str) -> libvirt.virDomain:
        return self._shared().lookupByUUIDString(server_id)

    def _shared(self) -> libvirt.virConnect:
        if self._connection is None:
            raise ValueError("no agent has opened the fleet yet")
        return self._connection
