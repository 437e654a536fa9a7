"""Which nodes are heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.commands.context import RequestContext
from sealward.commands.messages import RegisterNode
from sealward.commands.writer.handler import Handler
from sealward.control.database import SqliteControl
from sealward.control.leases import Leases
from sealward.events.base import node_stream
from sealward.events.node import NodeLost, NodeReturned
from sealward.events.store import store as stores
from sealward.events.store.store import StoreUnavailable
from sealward.intake.lease_keeper import LeaseKeeper

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
    hello = RegisterNode(context=RequestContext(actor="node:kvm2"), hostname="kvm2", public_key="PEM")
    handler.handle(hello)
    leases.touch({"kvm2"}, NOON)
    for seconds in (10, 30, 31, 60, 90):
        now[0] = NOON + timedelta(seconds=seconds)
        keeper.check()
    handler.handle(hello)
    handler.handle(hello)
    facts = store.read(node_stream("kvm2"))
    seen = leases.seen()
    database.close()

    assert [type(one) for one in facts[1:]] == [NodeLost, NodeReturned]
    assert facts[1].timestamp == NOON + timedelta(seconds=31)
    assert seen == {"kvm2": NOON}


class Away(Leases):
    """Leases of a store that can be away; the only node was heard at noon."""

    def __init__(self) -> None:
        self.is_away = False

    def silent_since(self, moment: datetime) -> list[str]:
        """Return the node that was not heard since."""
        if self.is_away:
            raise StoreUnavailable
        return ["kvm2"] if moment > NOON else []


def test_after_the_store_was_away_nodes_get_one_lease_to_be_heard() -> None:
    """Their heartbeats could not be noted: that is not their silence."""
    now = [NOON]
    store = stores.in_memory()
    handler = Handler(store, None, clock=lambda: now[0], fresh_for=timedelta(minutes=15))
    handler.handle(RegisterNode(context=RequestContext(actor="node:kvm2"), hostname="kvm2", public_key="PEM"))
    leases = Away()
    keeper = LeaseKeeper(leases, handler, LEASE, lambda: now[0])
    heads = []
    for seconds, leases.is_away in ((10, False), (40, True), (50, False), (69, False), (70, False)):
        now[0] = NOON + timedelta(seconds=seconds)
        keeper.check()
        heads.append(store.head())

    assert heads == [1, 1, 1, 1, 2]
