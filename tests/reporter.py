"""A node that reports without a libvirt: it signs what it is told to say, with a real key."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.context import RequestContext
from sealward.commands.messages import CreateSign
from sealward.commands.writer.handler import Handler
from sealward.commands.writer.unit_of_work import UnitOfWork
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN, Finding, Measurement
from sealward.events.signing import envelope as envelopes
from sealward.events.signing import keys
from sealward.events.signing.statement import Statement
from sealward.protocol import codec, reports
from sealward.protocol.telling import Inquiry
from sealward.protocol.turn import Turn

SECTIONS = ("boot", "cpu", "devices", "disks", "features", "identity", "memory", "network", "security")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
FINDING = Finding("disks", '/domain/devices/disk[target/@dev="vda"]/source/@file', "/a/disk", "/a/other")

ORDERED = "ordered"
"""Stands for the task of the order that a reporter gives for a server."""


def task_of(server_id: str) -> str:
    """Return the task of the order that a reporter gives for a server."""
    return f"t-{server_id}"


def ever_later(boot: int = 1) -> Iterator[Turn]:
    """Give the turns of one start of an agent."""
    return (Turn(boot, seq) for seq in itertools.count(1))


@dataclass(frozen=True)
class Reporter:
    """A node by its hostname and id; `evidence` is how many bytes explain each of its measurements."""

    hostname: str
    node_id: int
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    evidence: int = 2000
    turns: Iterator[Turn] = field(default_factory=ever_later, repr=False)

    def seal(self, report: reports.AnyReport | reports.Bundle, key: Ed25519PrivateKey | None = None) -> bytes:
        """Return a report as it stands on the bus, with the next turn."""
        return codec.seal(codec.numbered(report, next(self.turns)), key or self.key)

    def bundle(self, *bodies: bytes, key: Ed25519PrivateKey | None = None) -> bytes:
        """Return what was said in several envelopes as one."""
        return self.seal(codec.together(self.hostname, [envelopes.parse(one).payload for one in bodies]), key)

    def registration(self) -> bytes:
        """Say that it is there."""
        pem = keys.public_pem(self.key.public_key())
        return self.seal(reports.Registration(hostname=self.hostname, public_key=pem, nonce="asked"))

    def inventory(
        self,
        *servers: str,
        running: Iterable[str] | None = None,
        leaving: Iterable[str] = (),
        taken_at: datetime = LONG_AGO,
    ) -> bytes:
        """Say which servers it has, which of them run, and which leave."""
        instances = tuple((one, f"instance-{one[:8]}") for one in servers)
        report = reports.Inventory(
            hostname=self.hostname,
            instances=instances,
            taken_at=taken_at,
            running=None if running is None else tuple(running),
            leaving=tuple(leaving),
        )
        return self.seal(report)

    def wanted(self, server_id: str) -> bytes:
        """Have its start gate ask about a server of another node."""
        return self.seal(reports.Wanted(hostname=self.hostname, server_id=server_id))

    def leaving(self, inquiry: Inquiry, at: datetime, *, has: bool = True, leaving: bool = True) -> bytes:
        """Answer whether a server leaves it."""
        return self.seal(
            reports.Leaving(
                hostname=self.hostname,
                server_id=inquiry.server_id,
                nonce=inquiry.nonce,
                has=has,
                leaving=leaving,
                looked_at=at,
            )
        )

    def measured(  # noqa: PLR0913 - each caller changes one of them
        self,
        server_id: str,
        sign_id: int,
        at: datetime,
        *,
        generation: int = 1,
        disk: str = "disk",
        task_id: str | None = ORDERED,
        node_id: int | None = None,
        cause: str = "domain-changed",
    ) -> bytes:
        """Say what a server is: one with another `disk` differs, and the finding says so.

        It was measured for the task of `order` unless another one is named.
        """
        task_id = task_of(server_id) if task_id == ORDERED else task_id
        sections = {name: hashlib.sha256(name.encode()).hexdigest() for name in SECTIONS}
        sections["disks"] = hashlib.sha256(disk.encode()).hexdigest()
        found = Measurement(LIBVIRT_DOMAIN, sections, {}, "libvirt 9.0.0")
        evidence = hashlib.shake_128(server_id.encode()).digest(self.evidence)
        who = self.node_id if node_id is None else node_id
        statement = Statement(server_id, sign_id, who, generation, at, found, evidence, task_id)
        return self.seal(
            reports.Measurement(
                hostname=self.hostname,
                server_id=server_id,
                envelope=envelopes.sign(statement.envelope(), self.key).to_json(),
                cause=cause,
                task_id=task_id,
                findings=() if disk == "disk" else (FINDING,),
            )
        )

    def swept(self, at: datetime, vouched: str) -> bytes:
        """Say which signs it vouches for."""
        return self.seal(
            reports.Sweep(
                hostname=self.hostname,
                cause="sweep",
                started_at=at,
                vouched=vouched,
                withheld=(),
                counts={"true": 1, "false": 0, "unknown": 0, "unsigned": 0},
                digest="ab" * 32,
            )
        )

    def sign(self, handler: Handler, servers: Sequence[str]) -> None:
        """Have all of them signed, in one go."""

        def order(batch: UnitOfWork) -> None:
            for one in servers:
                batch.handle(self.order(one))

        handler.together(order)

    def order(self, server_id: str) -> CreateSign:
        """Return the command to sign one of its servers."""
        return CreateSign(
            context=RequestContext(actor="user:admin", task_id=task_of(server_id)),
            server_id=server_id,
            node_id=self.node_id,
            hostname=self.hostname,
            instance_name=f"instance-{server_id[:8]}",
            profile=LIBVIRT_DOMAIN,
        )
