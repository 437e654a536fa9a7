"""The libvirt connection, on libvirt's test driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import libvirt
import pytest
from running import BATCH, DATABASE, WEB, until

from sealward.node_agent.hypervisor.domains import running as running_domains
from sealward.node_agent.hypervisor.failures import DomainNotFound, HypervisorGone
from sealward.node_agent.hypervisor.fleet import SampleFleet, sample_uri
from sealward.node_agent.hypervisor.hypervisor import Hypervisor, describe

DEAD = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"


class Watched:
    """A hypervisor of the sample fleet, and what it told."""

    def __init__(self) -> None:
        self.fleet = SampleFleet()
        self.told: list[str | None] = []
        self.fails = 0
        self.hypervisor = Hypervisor(sample_uri(), self.told.append, self._open)

    def _open(self, uri: str) -> libvirt.virConnect:
        if self.fails > 0:
            self.fails -= 1
            return libvirt.openReadOnly(DEAD)
        return self.fleet.open(uri)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Yield a watched fleet, not started."""
    made = Watched()
    yield made
    made.hypervisor.close()


class BrokenAtOnce:
    """A connection whose daemon goes away as soon as somebody listens for that."""

    def registerCloseCallback(self, lost: Callable[..., None], opaque: object) -> None:  # noqa: N802 - libvirt's
        """Say so."""
        lost(self, libvirt.VIR_CONNECT_CLOSE_REASON_EOF, opaque)

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Let everything else of a connection be there, and say nothing."""
        return lambda *_: 0


def test_a_connection_that_breaks_while_it_is_opened_is_lost() -> None:
    """A daemon that is started and goes away again must not be taken for one that is there."""
    told: list[str | None] = []
    opened = iter([BrokenAtOnce(), BrokenAtOnce()])
    fleet = SampleFleet()
    hypervisor = Hypervisor(sample_uri(), told.append, lambda uri: next(opened, None) or fleet.open(uri))
    hypervisor.start()
    try:
        until(lambda: hypervisor.connected and len(hypervisor.servers()) == 4)
    finally:
        hypervisor.close()

    assert told.count(None) >= 2


def test_servers_and_their_xml(watched: Watched) -> None:
    """Sorted; running ones with their live XML; libvirt's version beside it."""
    watched.hypervisor.start()
    servers = watched.hypervisor.servers()
    running, off = watched.hypervisor.describe(WEB), watched.hypervisor.describe(BATCH)

    assert len(servers) == 4
    assert servers == sorted(servers)
    assert (WEB, "instance-00000068") in servers
    assert running.live is not None
    assert off.live is None
    assert running.hypervisor.startswith("libvirt ")
    with pytest.raises(DomainNotFound):
        watched.hypervisor.describe("00000000-0000-4000-8000-000000000000")


def test_those_that_run_are_known(watched: Watched) -> None:
    """One that its administrator paused runs on; one that is switched off does not."""
    watched.hypervisor.start()
    before = watched.hypervisor.running()
    watched.fleet._domain(WEB).suspend()

    assert WEB in before
    assert BATCH not in before
    assert watched.hypervisor.running() == before


def test_every_change_is_told(watched: Watched) -> None:
    """Defined, stopped, started, removed: the UUID, at once."""
    watched.hypervisor.start()
    changes: tuple[tuple[Callable[[], None], str], ...] = (
        (lambda: watched.fleet.replace(WEB, "1442", "1500"), WEB),
        (lambda: watched.fleet.stop(DATABASE), DATABASE),
        (lambda: watched.fleet.start(BATCH), BATCH),
        (lambda: watched.fleet.remove(WEB), WEB),
    )
    for change, server_id in changes:
        watched.told.clear()
        change()
        until(lambda server_id=server_id: server_id in watched.told, 1)  # type: ignore[misc]  # a default


def test_without_libvirt_it_says_so_and_goes_on_trying() -> None:
    """start() does not raise; asking does."""
    hypervisor = Hypervisor(DEAD, lambda _: None)
    hypervisor.start()
    with pytest.raises(HypervisorGone):
        hypervisor.servers()
    connected = hypervisor.connected
    hypervisor.close()

    assert not connected


def test_it_connects_by_itself_when_libvirt_comes(watched: Watched) -> None:
    """And tells that anything may have changed."""
    watched.fails = 2
    watched.hypervisor.start()
    until(lambda: watched.hypervisor.connected)
    until(lambda: None in watched.told)

    assert watched.hypervisor.servers()


def test_a_lost_connection_is_opened_again(watched: Watched) -> None:
    """Told twice: when it was lost, for all is unknown then, and when it is back."""
    watched.hypervisor.start()
    watched.fleet._connection = None  # the next one is new, as libvirt's are
    watched.hypervisor._connection._lost.set()
    until(lambda: watched.told.count(None) >= 2)

    assert watched.hypervisor.connected
    assert len(watched.hypervisor.servers()) == 4


def test_one_domain_by_name_or_uuid() -> None:
    """For the command line; what is not there has its reason."""
    by_name = describe(sample_uri(), "instance-00000068")

    assert by_name.config == describe(sample_uri(), WEB).config
    with pytest.raises(DomainNotFound):
        describe(sample_uri(), "nobody")
    with pytest.raises(HypervisorGone):
        describe(DEAD, "nobody")


class LeavingMeanwhile:
    """A connection on which every paused domain is found, and then leaves before anybody looks at it."""

    def __init__(self, connection: libvirt.virConnect, leave: Callable[[libvirt.virDomain], object]) -> None:
        self._connection = connection
        self._leave = leave

    def listAllDomains(self, flags: int = 0) -> list[libvirt.virDomain]:  # noqa: N802 - libvirt's
        """Return the domains; let the paused ones leave."""
        found: list[libvirt.virDomain] = self._connection.listAllDomains(flags)
        if flags == libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED:
            for one in found:
                self._leave(one)
        return found


def _undefined(domain: libvirt.virDomain) -> None:
    domain.destroy()
    domain.undefine()


@pytest.mark.parametrize("leave", [libvirt.virDomain.shutdown, _undefined])
def test_what_was_paused_for_a_migration_and_left_does_not_run(
    watched: Watched, leave: Callable[[libvirt.virDomain], object]
) -> None:
    """It is off, or gone, by the time of the second question: its sign must not follow it back."""
    watched.hypervisor.start()
    watched.fleet._domain(WEB).suspend()
    connection = LeavingMeanwhile(watched.fleet._shared(), leave)

    assert WEB not in running_domains(cast("libvirt.virConnect", connection))
