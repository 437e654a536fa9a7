"""The libvirt of a node: its domains, and which of them change. Every call has a deadline."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

import libvirt

from sealward.node_agent.hypervisor import connection as connections
from sealward.node_agent.hypervisor import domains
from sealward.node_agent.hypervisor.connection import Connection, open_read_only
from sealward.node_agent.hypervisor.domain_files import DomainFileWatch
from sealward.node_agent.hypervisor.domains import Departure
from sealward.node_agent.hypervisor.failures import DomainNotFound, HypervisorGone
from sealward.node_agent.hypervisor.named import Definitions
from sealward.node_agent.hypervisor.timed_calls import TimedCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sealward.node_agent.hypervisor.domains import DomainXml
    from sealward.node_agent.measuring.not_measured import NotMeasured

_ALL: Final = "all domains"
"""What a call is about that concerns every domain."""


def describe(uri: str, name: str) -> DomainXml:
    """Return the XML of one domain, by name or UUID, over a connection of its own. Raises NotMeasured."""
    connections.silence_libvirt()
    try:
        with contextlib.closing(open_read_only(uri)) as connection:
            version = connections.version_of(connection)
            return domains.described(connection, domains.found(connection, name), version)
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise DomainNotFound(f"{name}: no such domain at {uri}") from failed
        raise HypervisorGone(f"{uri}: {failed}") from failed


class Hypervisor:
    """The libvirt at one URI. Safe for many threads.

    `on_change` gets the UUID of a domain that changed, None when any domain may have changed. `folders` are
    those in which a local QEMU driver keeps the XML of its domains, the persistent forms first,
    and `saves` is where it keeps the images of managed saves.
    `on_rewritten` gets the UUID of a domain that has certainly changed, even if it is again as it was.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what libvirt is asked for, and who is told
        self,
        uri: str,
        on_change: Callable[[str | None], None],
        opener: Callable[[str], libvirt.virConnect] = open_read_only,
        folders: Iterable[Path] = (),
        on_rewritten: Callable[[str], None] = lambda _: None,
        saves: Path | None = None,
        on_restored: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_change = on_change
        self._on_rewritten = on_rewritten
        self._calls = TimedCalls(lambda _: on_change(None))
        self._saves = saves if _is_local_qemu(uri) else None
        watched = (*folders, *(() if saves is None else (saves,))) if _is_local_qemu(uri) else ()
        self._domain_files = DomainFileWatch(watched, self._written, self._written_twice)
        self._definitions = Definitions()
        self._saved: set[str] = set()
        """The domains that libvirt has saved since they were described last."""
        self._watched: set[str] = set()
        """The domains that were described since the connection was opened: no event about them was missed."""
        self._connection = Connection(
            uri, self._changed, self._opened, opener, on_rewritten, self._saved.add, on_restored
        )
        self._server_ids: dict[str, str] = {}
        """By name the ids of the domains that `servers` found last."""

    @property
    def connected(self) -> bool:
        """Say whether the connection to libvirt is open, as far as is known."""
        return self._connection.is_open

    @property
    def version(self) -> str:
        """Return the version of libvirt as of the last connection; empty before the first connection."""
        return self._connection.version

    def start(self) -> None:
        """Connect to libvirt, now or as soon as libvirt answers."""
        self._domain_files.start()
        self._connection.start()

    def close(self) -> None:
        """End the connection and all threads."""
        self._connection.close()
        self._domain_files.close()
        self._calls.close()

    def servers(self) -> list[tuple[str, str]]:
        """Return (server_id, instance_name) of every domain, by server_id.

        Raises HypervisorGone, DomainLocked.
        """
        with self._connection.asking() as connection:
            found = self._calls.make(_ALL, lambda: domains.listed(connection))
        self._server_ids = {name: server_id for server_id, name in found}
        return found

    def running(self) -> frozenset[str]:
        """Return the ids of the domains that run: not those that wait for a migration to begin or end here.

        Raises HypervisorGone, DomainLocked.
        """
        with self._connection.asking() as connection:
            return self._calls.make(_ALL, lambda: domains.running(connection))

    def leaving(self) -> frozenset[str]:
        """Return the ids of the domains that are in transit, or were migrated out and are still defined.

        Raises HypervisorGone, DomainLocked.
        """
        with self._connection.asking() as connection:
            return self._calls.make(_ALL, lambda: domains.leaving(connection))

    def departure(self, server_id: str) -> Departure:
        """Return whether a domain leaves this node now.

        Raises HypervisorGone, DomainUnreadable, DomainLocked.
        """
        try:
            with self._connection.asking() as connection:
                return self._calls.make(server_id, lambda: domains.departure(connection, server_id))
        except DomainNotFound:
            return Departure(has=False)

    def is_persistent(self, server_id: str) -> bool:
        """Return whether libvirt keeps a domain when it stops.

        Raises HypervisorGone, DomainNotFound, DomainUnreadable, DomainLocked.
        """
        with self._connection.asking() as connection:
            return self._calls.make(server_id, lambda: domains.is_persistent(connection, server_id))

    def describe(self, server_id: str) -> DomainXml:
        """Return a domain's XML. Raises HypervisorGone, DomainNotFound, DomainUnreadable, DomainLocked."""
        return self.describing(server_id)()

    def describing(self, server_id: str) -> Callable[[], DomainXml]:
        """Ask libvirt for a domain's XML; return a function that waits for the answer.

        The function returns and raises the same as `describe`. While the agent measures one domain, libvirt
        can describe the next domain.
        """
        try:
            with self._connection.asking() as connection:
                answer = self._calls.begin(
                    server_id,
                    lambda: self._described(connection, server_id),
                )
        except HypervisorGone as gone:
            return functools.partial(_raise, gone)

        def wait() -> DomainXml:
            with self._connection.translating(connection):
                return answer()

        return wait

    def _described(self, connection: libvirt.virConnect, server_id: str) -> DomainXml:
        domain = connection.lookupByUUIDString(server_id)
        xml = domains.described(connection, domain, self._connection.version)
        named = self._definitions.of(connection, xml.config)
        is_watched = server_id in self._watched
        self._watched.add(server_id)
        path = None if self._saves is None else self._saves / f"{domain.name()}.save"
        if xml.live is not None or path is None or not (xml.saved or os.path.lexists(path)):
            return replace(xml, named=named)
        was_saved = server_id in self._saved
        self._saved.discard(server_id)
        return replace(xml, named=named, saved_path=str(path), was_saved=was_saved, is_watched=is_watched)

    def _opened(self) -> None:
        self._watched.clear()
        self._domain_files.watch()

    def _changed(self, server_id: str | None) -> None:
        """Report a change. If any domain may have changed, networks and other named objects may have, too."""
        if server_id is None:
            self._definitions.forget()
        self._on_change(server_id)

    def _written(self, name: str | None) -> None:
        """Tell that libvirt wrote a file of a domain. A domain that is not known yet has a libvirt event."""
        server_id = None if name is None else self._server_ids.get(name)
        if name is None or server_id is not None:
            self._on_change(server_id)

    def _written_twice(self, name: str) -> None:
        server_id = self._server_ids.get(name)
        if server_id is not None:
            self._on_rewritten(server_id)


def _raise(failed: NotMeasured) -> NoReturn:
    raise failed


def _is_local_qemu(uri: str) -> bool:
    return uri.startswith(("qemu:///", "qemu+unix:///"))
