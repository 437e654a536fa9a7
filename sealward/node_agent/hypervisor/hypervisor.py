"""The libvirt connection of a node: kept alive, opened again when lost, read-only.

Facts behind it (libvirt 9.0, observed): a lost connection never recovers and its events are not replayed, so
a new one is opened and everything is looked at again; a hung daemon is noticed by keepalive alone; libvirt
must not be called from its own callbacks; a domain that something holds locked answers late or never.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import libvirt

from sealward.characters import escaped
from sealward.node_agent.hypervisor.calls import Calls
from sealward.node_agent.hypervisor.folders import Folders
from sealward.node_agent.measuring.not_measured import NotMeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

KEEPALIVE: Final = (5, 3)
"""Seconds between probes, and how many may stay unanswered before the connection counts as lost."""
NAME: Final = 255
"""Bytes that the name of a domain is reported with: libvirt names a file after it."""
_ALL: Final = "all domains"
IN_TRANSIT: Final = (
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
)
"""Why a domain is paused at either end of a migration: at its source the guest goes on at the destination."""
NOT_YET: Final = (libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, *IN_TRANSIT)
"""Why a domain is paused that does not run here: the first one at the destination of a migration, before
it is paused for the migration (libvirt 9.0, observed)."""
_GOING: Final = frozenset(
    (
        *((libvirt.VIR_DOMAIN_PAUSED, reason) for reason in IN_TRANSIT),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED),
    )
)
"""States and reasons of a domain in transit, or of one that was migrated out and is still defined."""
_NO_JOB: Final = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_NO_SUPPORT,
)
"""What libvirt answers about the job of a domain that has stopped, that comes in, or that its driver has
no jobs for."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0


class HypervisorGone(NotMeasured):
    """There is no connection to libvirt."""

    code = "libvirt-gone"


class DomainNotFound(NotMeasured):
    """Libvirt knows no such domain."""

    code = "domain-not-found"


class DomainUnreadable(NotMeasured):
    """Libvirt refuses to describe the domain."""

    code = "domain-unreadable"


class NotSealed(NotMeasured):
    """There is no reference yet to measure against."""

    code = "not-sealed"


@dataclass(frozen=True, slots=True)
class DomainXml:
    """A domain as libvirt describes it: persistent, running (None when shut off), and libvirt's version.

    `driver` is libvirt's name for the kind of hypervisor: "QEMU", "Test".

    Never the SECURE form: the agent does not hold passwords.
    """

    config: str
    live: str | None
    hypervisor: str
    driver: str
    tainted: tuple[str, ...] | None = ()
    """libvirt's messages about taints of a running domain; None where its driver has none."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Whether libvirt has a domain, and whether it migrates the domain out, or has migrated it out.

    `is_under_way` says whether that is still to end.
    """

    has: bool
    leaving: bool = False
    is_under_way: bool = False


def open_read_only(uri: str) -> libvirt.virConnect:
    """Open the socket that can look at everything and change nothing."""
    return libvirt.openReadOnly(uri)


def describe(uri: str, name: str) -> DomainXml:
    """Return the XML of one domain, by name or UUID, over a connection of its own. Raises NotMeasured."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        with contextlib.closing(open_read_only(uri)) as connection:
            return _described(connection, _found(connection, name), _version(connection))
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise DomainNotFound(f"{name}: no such domain at {uri}") from failed
        raise HypervisorGone(f"{uri}: {failed}") from failed


class Hypervisor:
    """One libvirt URI. `on_change` gets the UUID of a domain that changed, None when anything may have."""

    def __init__(
        self,
        uri: str,
        on_change: Callable[[str | None], None],
        opener: Callable[[str], libvirt.virConnect] = open_read_only,
        folders: Iterable[Path] = (),
    ) -> None:
        self._uri = uri
        self._on_change = on_change
        self._opener = opener
        self._calls = Calls(lambda _: on_change(None))
        self._folders = Folders(folders if _is_local_qemu(uri) else (), self._written)
        self._server_ids: dict[str, str] = {}
        """Of the domains that were there when somebody last asked, by name."""
        self._connection: libvirt.virConnect | None = None
        self.version = ""
        """libvirt's, as of the last connection; empty before the first."""
        self._lost = threading.Event()
        self._stopped = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="libvirt-keeper", daemon=True)

    @property
    def connected(self) -> bool:
        """Say whether libvirt was there when last heard of."""
        return self._connection is not None and not self._lost.is_set()

    def start(self) -> None:
        """Connect, now or as soon as libvirt is there."""
        _run_event_loop()
        self._folders.start()
        self._connect()
        self._keeper.start()

    def close(self) -> None:
        """End the connection and its thread."""
        self._stopped.set()
        self._lost.set()
        if self._keeper.is_alive():
            self._keeper.join(LONGEST_PAUSE)
        self._disconnect()
        self._folders.close()
        self._calls.close()

    def servers(self) -> list[tuple[str, str]]:
        """Return (server_id, instance_name) of every domain, by server_id.

        Raises HypervisorGone, DomainLocked.
        """
        with self._asking() as connection:
            found = self._calls.make(_ALL, lambda: _listed(connection))
        self._server_ids = {name: server_id for server_id, name in found}
        return found

    def running(self) -> frozenset[str]:
        """Return the ids of the domains that run: not those that wait for a migration to begin or end here.

        Raises HypervisorGone, DomainLocked.
        """
        with self._asking() as connection:
            return self._calls.make(_ALL, lambda: _running(connection))

    def leaving(self) -> frozenset[str]:
        """Return the ids of the domains that are in transit, or were migrated out and are still defined.

        Raises HypervisorGone, DomainLocked.
        """
        with self._asking() as connection:
            return self._calls.make(_ALL, lambda: _leaving(connection))

    def departure(self, server_id: str) -> Departure:
        """Return whether a domain leaves this node now.

        Raises HypervisorGone, DomainUnreadable, DomainLocked.
        """
        try:
            with self._asking() as connection:
                return self._calls.make(server_id, lambda: _departure(connection, server_id))
        except DomainNotFound:
            return Departure(has=False)

    def describe(self, server_id: str) -> DomainXml:
        """Return a domain's XML. Raises HypervisorGone, DomainNotFound, DomainUnreadable, DomainLocked."""
        return self.describing(server_id)()

    def describing(self, server_id: str) -> Callable[[], DomainXml]:
        """Ask for a domain's XML now; return what waits for it, and returns or raises what `describe` would.

        While one domain is measured, libvirt can be at the next.
        """
        try:
            with self._asking() as connection:
                answer = self._calls.begin(
                    server_id,
                    lambda: _described(connection, connection.lookupByUUIDString(server_id), self.version),
                )
        except HypervisorGone as gone:
            return functools.partial(_raise, gone)

        def wait() -> DomainXml:
            with self._translating(connection):
                return answer()

        return wait

    @contextlib.contextmanager
    def _asking(self) -> Iterator[libvirt.virConnect]:
        connection = self._connection
        if connection is None or self._lost.is_set():
            raise HypervisorGone
        with self._translating(connection):
            yield connection

    @contextlib.contextmanager
    def _translating(self, connection: libvirt.virConnect) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as failed:
            raise self._reason(connection, failed) from failed

    def _reason(self, connection: libvirt.virConnect, failed: libvirt.libvirtError) -> NotMeasured:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return DomainNotFound()
        if not _alive(connection):
            self._lost.set()
            return HypervisorGone()
        return DomainUnreadable(str(failed))

    def _keep(self) -> None:
        """Open a new connection whenever the old one is lost, until close()."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            if self._connection is not None:
                self._lost.wait()
                if self._stopped.is_set():
                    return
                log.warning("libvirt is gone: %s", self._uri)
                self._disconnect()
                self._on_change(None)
                self._stopped.wait(FIRST_PAUSE)  # one that breaks at once is not opened in a spin
            if self._connect():
                log.info("libvirt is back: %s", self._uri)
                pause = FIRST_PAUSE
                self._on_change(None)
            else:
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _connect(self) -> bool:
        self._lost.clear()  # before the new one can break: what is wiped after that is never noticed
        try:
            connection = self._opener(self._uri)
            self._watch(connection)
            version = _version(connection)
        except libvirt.libvirtError as failed:
            log.warning("libvirt does not answer at %s: %s", self._uri, failed)
            return False
        self.version = version
        self._connection = connection
        self._folders.watch()  # they may be others than those of the daemon before
        return True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _watch(self, connection: libvirt.virConnect) -> None:
        """Register for all that tells of a change; keepalive where the driver has it."""
        with contextlib.suppress(libvirt.libvirtError):  # the test driver has no keepalive
            connection.setKeepAlive(*KEEPALIVE)
        connection.registerCloseCallback(lambda *_: self._lost.set(), None)
        for event in (
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE,
            libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
        ):
            connection.domainEventRegisterAny(None, event, self._changed, None)

    def _written(self, name: str | None) -> None:
        """Hear that libvirt wrote something about a domain; one that nobody knows yet has an event."""
        server_id = None if name is None else self._server_ids.get(name)
        if name is None or server_id is not None:
            self._on_change(server_id)

    def _changed(self, _connection: libvirt.virConnect, domain: libvirt.virDomain, *_details: Any) -> None:  # noqa: ANN401 - each kind of event has its own
        self._on_change(domain.UUIDString())  # the UUID is part of the event: this asks nobody


def _raise(failed: NotMeasured) -> NoReturn:
    raise failed


def _is_local_qemu(uri: str) -> bool:
    return uri.startswith(("qemu:///", "qemu+unix:///"))


def _listed(connection: libvirt.virConnect) -> list[tuple[str, str]]:
    return sorted((one.UUIDString(), escaped(one.name(), NAME)) for one in connection.listAllDomains())


def _running(connection: libvirt.virConnect) -> frozenset[str]:
    """Return those that run, or ran and were paused here."""
    run = connection.listAllDomains(
        libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        | libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING
        | libvirt.VIR_CONNECT_LIST_DOMAINS_OTHER
    )
    paused = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED)
    return frozenset(one.UUIDString() for one in (*run, *filter(_stays, paused)))


def _stays(paused: libvirt.virDomain) -> bool:
    """Say whether a domain that was just found paused runs here: it may have left, or stopped, since then."""
    try:
        state, reason = paused.state()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return state == libvirt.VIR_DOMAIN_RUNNING or (
        state == libvirt.VIR_DOMAIN_PAUSED and reason not in NOT_YET
    )


def _leaving(connection: libvirt.virConnect) -> frozenset[str]:
    found = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    states = ((domain, said.get("state.state"), said.get("state.reason")) for domain, said in found)
    return frozenset(domain.UUIDString() for domain, *state in states if tuple(state) in _GOING)


def _departure(connection: libvirt.virConnect, server_id: str) -> Departure:
    domain = connection.lookupByUUIDString(server_id)
    state, reason, *_ = domain.state()
    if (state, reason) in _GOING:
        return Departure(has=True, leaving=True, is_under_way=state == libvirt.VIR_DOMAIN_PAUSED)
    going = bool(domain.isActive()) and _is_migrated_out(domain)
    return Departure(has=True, leaving=going, is_under_way=going)


def _is_migrated_out(domain: libvirt.virDomain) -> bool:
    """Say whether the job of a running domain is a migration to another node."""
    try:
        job = domain.jobStats()
    except libvirt.libvirtError as failed:
        if failed.get_error_code() in _NO_JOB:
            return False
        raise
    return bool(job.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)


def _described(connection: libvirt.virConnect, domain: libvirt.virDomain, version: str) -> DomainXml:
    config = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    live = domain.XMLDesc(0) if domain.isActive() else None
    tainted = () if live is None else _tainted(domain)
    return DomainXml(config, live, version, str(connection.getType()), tainted)


def _tainted(domain: libvirt.virDomain) -> tuple[str, ...] | None:
    try:
        return tuple(domain.messages(libvirt.VIR_DOMAIN_MESSAGE_TAINTING))
    except libvirt.libvirtError as failed:
        if failed.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return None
        raise


def _found(connection: libvirt.virConnect, name: str) -> libvirt.virDomain:
    try:
        server_id = str(uuid.UUID(name))
    except ValueError:
        return connection.lookupByName(name)
    return connection.lookupByUUIDString(server_id)


_event_loop: list[threading.Thread] = []
_event_loop_lock = threading.Lock()


def _run_event_loop() -> None:
    """Run libvirt's event loop, one for the process, in a thread; it must be there before any connection."""
    with _event_loop_lock:
        if _event_loop:
            return
        libvirt.registerErrorHandler(lambda *_: None, None)  # or libvirt prints every error itself
        libvirt.virEventRegisterDefaultImpl()
        thread = threading.Thread(target=_turn, name="libvirt-events", daemon=True)
        thread.start()
        _event_loop.append(thread)


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _version(connection: libvirt.virConnect) -> str:
    number = connection.getLibVersion()
    return f"libvirt {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
