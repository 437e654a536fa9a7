"""Reports of nodes, taken in batches on PostgreSQL: one append, one commit a batch.

The backlog is what a fleet says on a bad morning, in the steps of its agents: each registers; told what it
has to know it says its inventory, measures each of its servers for a seal, and sweeps; its next sweep finds
all of them changed. What an agent says in one step, the agent's own outbox bundles, as in service. All
envelopes are signed and verified, all seals countersigned; what that cryptography costs alone is measured in
the same run.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from private import postgres_server
from reporter import Reporter

from sealward.cli.process import collect_seldom
from sealward.commands.node_state import Node
from sealward.commands.writer.handler import Handler
from sealward.control.leases import Leases
from sealward.control.postgres import PostgresControl
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.events.base import utc_now
from sealward.events.bus.bus import BATCH, Bus
from sealward.events.bus.message import Delivered
from sealward.events.bus.node_queues import BusQueues, Letter
from sealward.events.bus.permissions import user_of
from sealward.events.sign import SignCreated
from sealward.events.signing import envelope as envelopes
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.intake.intake import Intake
from sealward.intake.reports.activity import NodeActivity
from sealward.intake.reports.locations import Locations
from sealward.intake.reports.senders import Senders
from sealward.intake.telling.answers import Answers
from sealward.intake.telling.assignments import Assignments
from sealward.intake.telling.notes import Notes
from sealward.intake.telling.voice import Voice
from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.messages.outbox import Outbox
from sealward.node_agent.messages.turns import Turns
from sealward.protocol import codec, reports
from sealward.protocol.desired import Desired

NODES = 12
SERVERS = 50
ROUNDS = 9
TARGET = 10_000
AUTHORITY = Ed25519PrivateKey.generate()


class Starts(Ledger):
    """The disk is not what is measured here."""

    def __init__(self) -> None:
        """Keep nothing."""

    def fact(self, name: str) -> str | None:
        """Know nothing."""

    def keep_fact(self, name: str, value: str) -> None:
        """Do nothing."""


class NoLocations(Locations):
    """Queries of the projections are not what is measured here."""

    def __init__(self) -> None:
        """Need no projections."""

    def _nothing(self, *_: object, **__: object) -> Sequence[str]:
        return ()

    elsewhere = also_at = unsettled = _nothing


class NoQueues(BusQueues):
    """The broker is not what is measured here."""

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Take all."""
        del letters
        return frozenset()


def backlog(store: EventStore, handler: Handler, first: int) -> list[Delivered]:
    """Order signs for a fresh fleet and return what its agents send, in turns, registrations first."""
    fleet = [Reporter(f"kvm{first + number}", first + number) for number in range(NODES)]
    sent: list[list[Delivered]] = []
    for node in fleet:
        servers = [str(uuid.uuid4()) for _ in range(SERVERS)]
        node.sign(handler, servers)
        known = [one.event for one in store.follow(store.head() - SERVERS)]
        ids = [one.sign_id for one in known if isinstance(one, SignCreated)]
        user = user_of(node.hostname)
        sent.append([Delivered(one, {}, user) for one in envelopes_of(node, servers, ids)])
    return [one for turn in itertools.zip_longest(*sent) for one in turn if one is not None]


def envelopes_of(node: Reporter, servers: Sequence[str], ids: Sequence[int]) -> list[bytes]:
    """Return what a node's agent sends: its outbox is flushed at the end of each step."""
    sent: list[bytes] = []
    outbox = Outbox(node.hostname, Keyring(node.key), sent.append, Turns(Starts()))
    now = utc_now() - timedelta(seconds=30)
    later, vouched = now + timedelta(seconds=10), f"{ids[0]}-{ids[-1]}"
    seals = [
        node.measured(one, sign_id, now, cause="sealed") for one, sign_id in zip(servers, ids, strict=True)
    ]
    changes = [
        node.measured(one, sign_id, later, disk="x") for one, sign_id in zip(servers, ids, strict=True)
    ]
    for step in (
        [node.registration()],
        [node.inventory(*servers), *seals, node.swept(now, vouched)],
        [*changes, node.swept(later, "")],
    ):
        for body in step:
            outbox.put(report_in(body))
        outbox.flush()
    return sent


def report_in(body: bytes) -> reports.AnyReport:
    """Return the report that an envelope holds by itself."""
    said = codec.parse(envelopes.parse(body))
    assert not isinstance(said, reports.Bundle)
    return said


class _Leased:
    """Records the leases of nodes, and nothing else of their activity."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def record(self, batch: Sequence[reports.AnyReport]) -> None:
        """Record that the senders of a batch were heard."""
        self._leases.touch({one.hostname for one in batch}, utc_now())


def intake(store: EventStore, handler: Handler, control: PostgresControl) -> Intake:
    """Return the door as a worker has it, but for the bus."""

    def desire(node: Node) -> Desired:
        return Desired(node.node_id, store.head(), node.active, "PEM", (), ())

    queues, voice = NoQueues(Bus("memory://", "bench")), Voice(AUTHORITY)
    answers = Answers(desire, queues, voice)
    answers.start()
    return Intake(
        handler,
        cast("NodeActivity", _Leased(Leases(control))),
        utc_now,
        answers=answers,
        notes=Notes(queues, voice),
        locations=NoLocations(),
        assignments=cast("Assignments", None),
        senders=Senders("sealward-worker"),
        turns=LastTurns(control),
        unproven=Unproven(control, utc_now),
        only_invited=False,
        nonce=lambda: "nonce",
    )


def cryptography(bodies: Sequence[bytes]) -> float:
    """Return the seconds that signatures take: one for each envelope, one more and ours for each seal."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key()
    sent = [envelopes.parse(body) for body in bodies]
    found = [one for envelope in sent for one in codec.unbundle(codec.parse(envelope))]
    seals = [
        envelopes.parse(one.envelope)
        for one in found
        if isinstance(one, reports.Measurement) and not one.findings
    ]
    signed = [envelopes.pae(one.payload_type, one.payload) for one in (*sent, *seals)]
    sigs = [key.sign(one) for one in signed]
    began = time.perf_counter()
    for one, sig in zip(signed, sigs, strict=True):
        public.verify(sig, one)
    for one in signed[len(sent) :]:
        key.sign(one)
    return time.perf_counter() - began


def one_round(
    store: EventStore, handler: Handler, door: Intake, number: int
) -> tuple[float, float, int, int]:
    """Return events a second, the share of cryptography, events and envelopes."""
    messages = backlog(store, handler, 1 + number * NODES)
    batches = [messages[at : at + BATCH] for at in range(0, len(messages), BATCH)]
    before, began = store.head(), time.perf_counter()
    refused = [one for batch in batches for one in door.take(batch) if one is not None]
    seconds = time.perf_counter() - began
    events = store.head() - before
    assert not refused, refused[0]
    share = cryptography([one.body for one in messages]) / seconds
    return events / seconds, share, events, len(messages)


def main() -> int:
    """Print rate, share of cryptography and bound; 1 when the rate is below the target."""
    collect_seldom()  # as a worker does
    with postgres_server() as server:
        store, control = postgres(server.url()), PostgresControl(server.url())
        handler = Handler(store, AUTHORITY, clock=utc_now, fresh_for=timedelta(minutes=15))
        door = intake(store, handler, control)
        _, *rounds = [
            one_round(store, handler, door, number) for number in range(1 + ROUNDS)
        ]  # one to warm up
        control.close()
        store.close()
    rate, share = statistics.median(one[0] for one in rounds), statistics.median(one[1] for one in rounds)
    print(
        f"{rounds[0][3]} envelopes, {rounds[0][2]} events a round: "
        + ", ".join(f"{one[0]:,.0f}" for one in rounds)
    )
    print(f"cryptography is {share:.0%} of the time: it alone would be {rate / share:,.0f} events/s")
    return report(Bound("node reports taken in batches, one commit a batch", rate, TARGET, "events/s"))


if __name__ == "__main__":
    sys.exit(main())
