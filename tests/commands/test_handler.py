"""The one writer, on a real store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from factories import SERVER
from msgspec.structs import replace

from sealward.commands.context import RequestContext
from sealward.commands.errors import AlreadySigned
from sealward.commands.messages import CreateSign, RegisterNode, RequestValidation, RevokeSign
from sealward.commands.sign_state import Sign, evolve
from sealward.commands.writer.handler import Handler
from sealward.commands.writer.unit_of_work import SNAPSHOT_EVERY
from sealward.events.base import Origin, node_stream, sign_stream
from sealward.events.node import NodeRegistered
from sealward.events.sign import SignCreated, SignValidationRequested
from sealward.events.store import store as stores
from sealward.events.store.store import EventStore

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
AUTHORITY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


def handler(store: EventStore) -> Handler:
    """Return a handler whose clock stands still."""
    return Handler(store, AUTHORITY, clock=lambda: NOW, fresh_for=timedelta(minutes=15))


def create(server_id: str = SERVER) -> CreateSign:
    """Return the command to sign a server."""
    return CreateSign(
        context=RequestContext(actor="user:admin", task_id="t-1"),
        server_id=server_id,
        node_id=2,
        hostname="kvm2",
        instance_name="instance-1",
        profile="libvirt-domain/1",
    )


def test_a_command_becomes_facts_at_the_position_it_returns() -> None:
    """What was decided stands in the log, with ids that were allocated once."""
    store = stores.in_memory()
    position = handler(store).handle(create())
    (event,) = store.read(sign_stream(SERVER))

    assert position == store.head() == 1
    assert isinstance(event, SignCreated)
    assert (event.sign_id, event.task_id, event.timestamp) == (1, "t-1", NOW)


def test_the_facts_say_where_the_command_came_from() -> None:
    """Ids of user and project go into every event of theirs; without them an event says nothing of it."""
    store = stores.in_memory()
    origin = Origin(user_id="u", project_id="p")
    handler(store).handle(replace(create(), context=replace(create().context, origin=origin)))
    handler(store).handle(RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVER))

    assert [one.event.origin for one in store.follow(0)] == [origin, None]


def test_a_refused_command_writes_nothing() -> None:
    """Neither an event nor an id is used up."""
    store = stores.in_memory()
    handler(store).handle(create())

    with pytest.raises(AlreadySigned):
        handler(store).handle(create())
    assert store.head() == 1
    assert store.next_id("sign") == 2


def test_of_many_at_once_every_command_is_recorded_once(tmp_path: Path) -> None:
    """Writers that meet in one stream decide again instead of losing what the other wrote."""
    store = stores.sqlite(tmp_path / "log.sqlite")
    handler(store).handle(create())
    asks = [
        RequestValidation(context=RequestContext(actor="user:admin", task_id=f"t-{n}"), server_id=SERVER)
        for n in range(24)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(handler(store).handle, asks))
    requested = [one for one in store.read(sign_stream(SERVER)) if isinstance(one, SignValidationRequested)]
    store.close()

    assert {one.task_id for one in asks} == {one.task_id for one in requested}
    assert len(requested) == 24


def test_a_node_that_registers_twice_at_once_is_one_node() -> None:
    """A hostname has one stream, so one of the two finds the other's registration."""
    store = stores.in_memory()
    command = RegisterNode(context=RequestContext(actor="node:kvm2"), hostname="kvm2", public_key="PEM")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(handler(store).handle, [command] * 8))

    assert [type(one) for one in store.read(node_stream("kvm2"))] == [NodeRegistered]


def test_a_long_stream_is_loaded_from_its_snapshot() -> None:
    """What a snapshot and the events after it give is what all events give."""
    store = stores.in_memory()
    handle = handler(store).handle
    handle(create())
    for number in range(2 * SNAPSHOT_EVERY):
        handle(
            RequestValidation(
                context=RequestContext(actor="user:admin", task_id=f"t-{number}"), server_id=SERVER
            )
        )
    kept = store.snapshot(sign_stream(SERVER))
    with pytest.raises(AlreadySigned):
        handle(create())

    assert kept is not None
    assert kept.version >= SNAPSHOT_EVERY
    state = msgspec.json.decode(kept.state, type=Sign)
    folded = None
    for event in store.read(sign_stream(SERVER))[: kept.version]:
        folded = evolve(folded, event)
    assert state == folded


def test_a_long_stream_may_end_with_a_revocation() -> None:
    """Its snapshot says that there is no sign, and the server can be signed again."""
    store = stores.in_memory()
    handle = handler(store).handle
    for _ in range(SNAPSHOT_EVERY):
        handle(create())
        handle(RevokeSign(context=RequestContext(actor="user:admin"), server_id=SERVER))
    kept = store.snapshot(sign_stream(SERVER))
    handle(create())

    assert kept is not None
    assert kept.state == b"null"
