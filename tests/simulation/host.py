"""A node of a simulation: domains that change behind its back, and the real agent, which may die."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.events.comparison.measurement import Finding, Measurement
from sealward.events.signing.keys import public_pem
from sealward.node_agent.agent import Agent
from sealward.node_agent.enforcement import Means
from sealward.node_agent.files.firmware import Firmware
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.hypervisor.domains import Departure, DomainXml
from sealward.node_agent.hypervisor.failures import DomainLocked, DomainNotFound, HypervisorGone
from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.measuring.form import Files, unmeasured
from sealward.node_agent.measuring.measure import measure
from sealward.node_agent.measuring.not_measured import NotMeasured
from sealward.node_agent.messages.outbox import Outbox
from sealward.node_agent.messages.trust import Trust
from sealward.node_agent.messages.turns import Turns

NAMESPACE = uuid.UUID("0d5e6a51-6f2a-5d0e-9d0a-5ea1a4d0ffff")
KEYS = tuple(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(8))
XML = """<domain type='test'>
  <name>{name}</name><uuid>{server_id}</uuid>
  <memory unit='KiB'{rewritten}>{memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
</domain>"""
VERSIONS = ("libvirt 9.0.0", "libvirt 9.1.0")
REWRITTEN = 100
"""The variant that is the first one as another libvirt may write it."""

Shape = tuple[int, str] | None
"""What a domain is like: its variant and the version of its libvirt; None when it is not there."""


@cache
def measured(server_id: str, variant: int, version: str) -> Measurement:
    """Return what measuring that domain gives."""
    return measure(xml(server_id, variant), None, version).measurement


def xml(server_id: str, variant: int) -> str:
    """Return a domain's XML."""
    added = " dumpCore='on'" if variant == REWRITTEN else ""
    memory = 1024 + variant % REWRITTEN
    return XML.format(name=name(server_id), server_id=server_id, memory=memory, rewritten=added)


def name(server_id: str) -> str:
    """Return the name that libvirt has for a server."""
    return f"instance-{server_id[:8]}"


class Domains(Hypervisor):
    """A libvirt that can be changed, lost, and asked what a domain was like at any moment."""

    def __init__(self, server_ids: list[str], clock: Callable[[], datetime]) -> None:
        super().__init__("simulated:///", lambda _: None)
        self._clock = clock
        self.gone = False
        self.locked: set[str] = set()
        """The domains that libvirt is busy with for too long."""
        self.going: set[str] = set()
        """The domains that libvirt migrates out."""
        self._version = VERSIONS[0]
        self.variants: dict[str, int] = dict.fromkeys(server_ids, 0)
        self._past: dict[str, list[tuple[datetime, Shape]]] = {}
        self.note()

    @property
    def version(self) -> str:
        """Return the version of this libvirt."""
        return self._version

    def upgrade(self, version: str) -> None:
        """Become another version of libvirt."""
        self._version = version

    def servers(self) -> list[tuple[str, str]]:
        """Return all domains."""
        if self.gone:
            raise HypervisorGone
        return sorted((server_id, name(server_id)) for server_id in self.variants)

    def running(self) -> frozenset[str]:
        """Return all domains: none is ever switched off."""
        if self.gone:
            raise HypervisorGone
        return frozenset(self.variants)

    def leaving(self) -> frozenset[str]:
        """Return none: a domain that is migrated out runs until it is at its destination."""
        if self.gone:
            raise HypervisorGone
        return frozenset()

    def departure(self, server_id: str) -> Departure:
        """Return whether a domain is being migrated out."""
        if self.gone:
            raise HypervisorGone
        going = server_id in self.going
        return Departure(has=server_id in self.variants, leaving=going, is_under_way=going)

    def describe(self, server_id: str) -> DomainXml:
        """Return a domain's XML."""
        if self.gone:
            raise HypervisorGone
        if server_id in self.locked:
            raise DomainLocked
        if server_id not in self.variants:
            raise DomainNotFound
        return DomainXml(xml(server_id, self.variants[server_id]), None, self.version, "test")

    def describing(self, server_id: str) -> Callable[[], DomainXml]:
        """Return a function that gives the description of a domain as it is now."""
        found: DomainXml | NotMeasured
        try:
            found = self.describe(server_id)
        except NotMeasured as failed:
            found = failed

        def wait() -> DomainXml:
            if isinstance(found, NotMeasured):
                raise found
            return found

        return wait

    def note(self) -> None:
        """Remember what all domains are like from now on."""
        for server_id in {*self.variants, *self._past}:
            self._past.setdefault(server_id, []).append((self._clock(), self.shape(server_id)))

    def shape(self, server_id: str) -> Shape:
        """Return what a domain is like."""
        variant = self.variants.get(server_id)
        return None if variant is None else (variant, self.version)

    def shape_at(self, server_id: str, moment: datetime) -> Shape:
        """Return what a domain was like at a moment of the node's clock; None where it was not there."""
        past = [shape for since, shape in self._past.get(server_id, ()) if since <= moment]
        return past[-1] if past else None


class NoFiles:
    """Files that nobody measures."""

    def look(self, _server_id: str, _driver: str, *, fresh: bool) -> Files:
        """Return what stands in a measurement without files."""
        del fresh
        return unmeasured

    def forget(self, server_id: str) -> None:
        """Have nothing to forget."""

    def localised(self, finding: Finding) -> Finding:
        """Return a finding as it is."""
        return finding


class Host:
    """A node; its clock is off by `skew`."""

    def __init__(  # noqa: PLR0913 - what a node is, and what it is given
        self,
        number: int,
        folder: Path,
        skew: timedelta,
        clock: Callable[[], datetime],
        submit: Callable[[bytes], None],
        *,
        trust: Trust,
    ) -> None:
        self.hostname = f"kvm{number}"
        self.queue = f"node.{self.hostname}"
        self.skew = skew
        self._submit = submit
        self.server_ids = [str(uuid.uuid5(NAMESPACE, f"{number}/{one}")) for one in range(2)]
        self.domains = Domains(self.server_ids, self.clock_of(clock))
        self._clock = self.clock_of(clock)
        self._ledger = Ledger(folder / f"{self.hostname}.sqlite")
        self._ledger.keep_fact("hostname", self.hostname)
        self.keyring = Keyring(KEYS[number])
        self._keys = 2 * number
        self._trust = trust
        self.agent: Agent | None = None
        self.changed: set[str | None] = set()

    def clock_of(self, clock: Callable[[], datetime]) -> Callable[[], datetime]:
        """Return this node's own clock."""
        return lambda: clock() + self.skew

    def boot(self) -> None:
        """Start the agent."""
        self.changed.clear()
        files = cast("FileMeasurer", NoFiles())
        self.agent = Agent(
            keyring=self.keyring,
            ledger=self._ledger,
            hypervisor=self.domains,
            files=files,
            firmware=Firmware((), files, self._ledger),
            outbox=Outbox(self.hostname, self.keyring, self._submit, Turns(self._ledger)),
            clock=self._clock,
            means=Means(timedelta(days=7), lambda *_: None, lambda _: None),
            trust=self._trust,
        )
        self.agent.register()

    def next_key(self) -> str:
        """Make the next key; return its public key."""
        self._keys += 1
        made = Ed25519PrivateKey.from_private_bytes(bytes([100 + self._keys]) * 32)
        self.keyring.offer(made)
        return public_pem(made.public_key())

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def change(self, server_id: str, variant: int | None) -> None:
        """Define, redefine or remove a domain; libvirt tells of it, unless it is lost."""
        if variant is None:
            self.domains.variants.pop(server_id, None)
        else:
            self.domains.variants[server_id] = variant
        self.domains.note()
        self._tell(server_id)

    def lose_libvirt(self, *, gone: bool, version: str) -> None:
        """Take libvirt away, or bring it back, perhaps as another version."""
        if not gone:
            self.domains.upgrade(version)
        self.domains.gone = gone
        self.domains.note()
        self.changed = {None} if self.agent else set()

    def _tell(self, server_id: str) -> None:
        if self.agent is not None and not self.domains.gone:
            self.changed.add(server_id)
