"""Which nodes are heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.control import SqliteControl
from sealward.commands.handler import Handler
from sealward.commands.leases import LeaseKeeper, Leases
from sealward.commands.messages import RegisterNode
from sealward.events import store as stores
from sealward.events.base import node_stream
from sealward.events.node import NodeLost, NodeReturned

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def test_silence_is_recorded_once_and_so_is_the_return(tmp_path: Path) -> None:
    """However often the keeper looks."""
    now = [NOON]
    store = stores.in_memory()
    key = Ed25519PrivateKey.generate()
    handler = Handler(store, key, clock=lambda: now[0], fresh_for=timedelta(minutes=15))
    database = SqliteControl(tmp_path / "control")
    leases = Leases(database)
    keeper = LeaseKeeper(leases, handler, LEASE, lambda: now[0])
    hello = RegisterNode(actor="node:kvm2", hostname="kvm2", public_key="PEM")
    handler.handle(hello)
    leases.touch({"kvm2"}, NOON)
    for seconds in (10, 30, 31, 60, 90):
        now[0] = NOON + timedelta(seconds=seconds)
        keeper.look()
    handler.handle(hello)
    handler.handle(hello)
    facts = store.read(node_stream("kvm2"))
    seen = leases.seen()
    database.close()

    assert [type(one) for one in facts[1:]] == [NodeLost, NodeReturned]
    assert facts[1].timestamp == NOON + timedelta(seconds=31)
    assert seen == {"kvm2": NOON}
