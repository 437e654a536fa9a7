"""The read-only connection of a node to libvirt: kept alive, and opened again when it is lost.

Facts behind this module (libvirt 9.0, observed): a lost connection never recovers, and its events are not
replayed, so a new connection is opened and every domain is looked at again. Keepalive alone notices a hung
daemon. libvirt must not be called from its own callbacks.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

import libvirt

from sealward.node_agent.hypervisor.failures import DomainNotFound, DomainUnreadable, HypervisorGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.node_agent.measuring.not_measured import NotMeasured

log = logging.getLogger(__name__)

KEEPALIVE: Final = (5, 3)
"""Seconds between probes, and how many may stay unanswered before the connection counts as lost."""
FIRST_PAUSE: Final = 0.2
"""Seconds between a lost connection and the first attempt to open another."""
LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts, at most: the pause doubles after each attempt that fails."""
PART: Final = "libvirt"
"""The name under which `absences` knows that libvirt is away."""
EVENTS: Final = (
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE,
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
)
"""The events of libvirt that tell that a domain may have changed, beside the event of its lifecycle."""
DEVICE_EVENTS: Final = (
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
)
"""The events of libvirt that tell that a running domain has changed, even if it measures as before."""
_SAVED: Final = (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED)
"""The kind and the detail of the event that libvirt has written the memory of a domain to a file."""
_RESTORED: Final = (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_RESTORED)
"""The kind and the detail of the event that a domain has started from such a file."""


def open_read_only(uri: str) -> libvirt.virConnect:
    """Open the socket that can look at everything and change nothing."""
    return libvirt.openReadOnly(uri)


class Connection:
    """The connection to one libvirt URI. Safe for many threads.

    `on_change` gets the UUID of a domain that changed. It gets None when any domain may have changed: when
    the connection is lost, and when it is back. `on_open` is called each time a connection was opened.
    `on_rewritten` gets the UUID of a domain that has certainly changed, before `on_change` gets the UUID.
    `on_saved` gets the UUID of a domain that libvirt has saved to a file, and `on_restored` that of a domain
    that has started from a file.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is connected to, and who is told
        self,
        uri: str,
        on_change: Callable[[str | None], None],
        on_open: Callable[[], None],
        opener: Callable[[str], libvirt.virConnect] = open_read_only,
        on_rewritten: Callable[[str], None] = lambda _: None,
        on_saved: Callable[[str], None] = lambda _: None,
        on_restored: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._told = {_SAVED: on_saved, _RESTORED: on_restored}
        self._uri = uri
        self._on_change = on_change
        self._on_open = on_open
        self._on_rewritten = on_rewritten
        self._opener = opener
        self._connection: libvirt.virConnect | None = None
        self.version = ""
        """The version of libvirt as of the last connection; empty before the first connection."""
        self._lost = threading.Event()
        self._stopped = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="libvirt-keeper", daemon=True)

    @property
    def is_open(self) -> bool:
        """Say whether the connection is open, as far as is known."""
        return self._connection is not None and not self._lost.is_set()

    def start(self) -> None:
        """Open the connection, now or as soon as libvirt answers."""
        _run_event_loop()
        self._connect()
        self._keeper.start()

    def close(self) -> None:
        """Close the connection, and end the thread that keeps it."""
        self._stopped.set()
        self._lost.set()
        if self._keeper.is_alive():
            self._keeper.join(LONGEST_PAUSE)
        self._disconnect()

    @contextlib.contextmanager
    def asking(self) -> Iterator[libvirt.virConnect]:
        """Give the open connection to a block that makes calls over it.

        Raises HypervisorGone without a connection, and the errors of `translating`.
        """
        connection = self._connection
        if connection is None or self._lost.is_set():
            raise HypervisorGone
        with self.translating(connection):
            yield connection

    @contextlib.contextmanager
    def translating(self, connection: libvirt.virConnect) -> Iterator[None]:
        """Translate libvirt's errors. Raises HypervisorGone, DomainNotFound, DomainUnreadable."""
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
        """Open a new connection whenever the connection is lost, until `close`."""
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            if self._connection is not None:
                self._lost.wait()
                if self._stopped.is_set():
                    return
                log.warning("libvirt is gone: %s", self._uri, extra={"away": PART})
                self._disconnect()
                self._on_change(None)
                self._stopped.wait(FIRST_PAUSE)  # a connection that breaks at once is not opened in a spin
            if self._connect():
                log.info("libvirt is back: %s", self._uri, extra={"back": PART})
                pause = FIRST_PAUSE
                self._on_change(None)
            else:
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _connect(self) -> bool:
        """Open the connection; say whether libvirt answered."""
        self._lost.clear()  # before the new connection can break: a loss cleared later is never noticed
        try:
            connection = self._opener(self._uri)
            self._watch(connection)
            version = version_of(connection)
        except libvirt.libvirtError as failed:
            log.warning("libvirt does not answer at %s: %s", self._uri, failed, extra={"away": PART})
            return False
        self.version = version
        self._connection = connection
        self._on_open()
        return True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(libvirt.libvirtError):
                connection.close()

    def _watch(self, connection: libvirt.virConnect) -> None:
        """Register for every event that tells of a change; use keepalive where the driver has it."""
        with contextlib.suppress(libvirt.libvirtError):  # the test driver has no keepalive
            connection.setKeepAlive(*KEEPALIVE)
        connection.registerCloseCallback(lambda *_: self._lost.set(), None)
        lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        connection.domainEventRegisterAny(None, lifecycle, self._lived, None)
        for event in EVENTS:
            connection.domainEventRegisterAny(None, event, self._changed, None)
        for event in DEVICE_EVENTS:
            connection.domainEventRegisterAny(None, event, self._rewritten, None)
        with contextlib.suppress(libvirt.libvirtError):  # daemons apart have no networks, or no pools
            event = libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE
            connection.networkEventRegisterAny(None, event, self._redefined, None)
        with contextlib.suppress(libvirt.libvirtError):
            event = libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE
            connection.storagePoolEventRegisterAny(None, event, self._redefined, None)

    def _redefined(self, *_details: object) -> None:
        """Hear of a network or a storage pool: any domain may name it."""
        self._on_change(None)

    def _rewritten(self, _connection: libvirt.virConnect, domain: libvirt.virDomain, *_details: Any) -> None:  # noqa: ANN401 - as below
        self._on_rewritten(domain.UUIDString())
        self._on_change(domain.UUIDString())

    def _lived(self, _connection: libvirt.virConnect, domain: libvirt.virDomain, *details: Any) -> None:  # noqa: ANN401 - as below
        tell = self._told.get(details[:2])
        if tell is not None:
            tell(domain.UUIDString())
        self._on_change(domain.UUIDString())

    def _changed(self, _connection: libvirt.virConnect, domain: libvirt.virDomain, *_details: Any) -> None:  # noqa: ANN401 - each kind of event has its own
        self._on_change(domain.UUIDString())  # the UUID is part of the event: libvirt is not called for it


def version_of(connection: libvirt.virConnect) -> str:
    """Return the version of libvirt, as "libvirt 9.0.0"."""
    number = connection.getLibVersion()
    return f"libvirt {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def silence_libvirt() -> None:
    """Keep libvirt from printing its errors: they are raised as well."""
    libvirt.registerErrorHandler(lambda *_: None, None)


_event_loop: list[threading.Thread] = []
_event_loop_lock = threading.Lock()


def _run_event_loop() -> None:
    """Run libvirt's event loop, one for the process, in a thread. libvirt wants it before any connection."""
    with _event_loop_lock:
        if _event_loop:
            return
        silence_libvirt()
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
