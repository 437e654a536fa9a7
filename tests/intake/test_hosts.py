"""Whose inboxes are read: those of hosts that may report, and nobody's is deleted by mistake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from door import NOW, Door
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.messages import AdmitNode, InviteNode, RemoveNode, UninviteNode
from sealward.events.signing.keys import public_pem
from sealward.events.store.store import EventStore
from sealward.intake.reports.hosts import SHARED, Inboxes
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door to a log without events."""
    return Door(store)


def invite(door: Door, host: Reporter) -> None:
    """Invite a host, each time with another key."""
    pem = public_pem(Ed25519PrivateKey.generate().public_key())
    expires = NOW + timedelta(hours=1)
    door.handler.handle(
        InviteNode(
            context=RequestContext(actor="user:admin"),
            hostname=host.hostname,
            invitation=pem,
            expires_at=expires,
        )
    )


def names(inboxes: Inboxes) -> list[str]:
    """Return the names of all inboxes but the shared one."""
    first, *rest = inboxes.all()
    assert first == SHARED
    assert [f"reports.{(one.user or '').removeprefix('node.')}" for one in rest] == [one.name for one in rest]
    return [one.name for one in rest]


def caught_up(store: EventStore) -> Projections:
    """Return rows that stand for the whole log."""
    made = Projections(SqliteBackend(Path(":memory:")))
    while made.advance(store):
        pass
    return made


def test_a_host_has_an_inbox_from_its_invitation_to_its_removal(door: Door, store: EventStore) -> None:
    """Also one that is invited again, and not one whose invitation was revoked."""
    host, other = Reporter("kvm1", 1), Reporter("kvm2", 2)
    projections = caught_up(store)
    inboxes = Inboxes(store, projections)

    def listed() -> list[str]:
        while projections.advance(store):
            pass
        return names(inboxes)

    assert listed() == []
    invite(door, host)
    invite(door, other)
    assert listed() == ["reports.kvm1", "reports.kvm2"]
    door.handler.handle(UninviteNode(context=RequestContext(actor="user:admin"), hostname="kvm2"))
    assert listed() == ["reports.kvm1"]
    pem = public_pem(other.key.public_key())
    door.handler.handle(
        AdmitNode(context=RequestContext(actor="user:admin"), hostname="kvm2", public_key=pem)
    )
    assert listed() == ["reports.kvm1", "reports.kvm2"]
    door.handler.handle(RemoveNode(context=RequestContext(actor="user:admin"), hostname="kvm2", signed=()))
    assert listed() == ["reports.kvm1"]
    invite(door, other)
    assert listed() == ["reports.kvm1", "reports.kvm2"]
    projections.close()


def test_rows_that_are_built_anew_take_no_inbox_away(door: Door, store: EventStore) -> None:
    """While they are behind the log, a host that is missing in them is not gone."""
    host = Reporter("kvm1", 1)
    assert door.take(host.registration()) == [None]
    projections = caught_up(store)
    inboxes = Inboxes(store, projections)
    assert names(inboxes) == ["reports.kvm1"]
    with projections.writing() as tables:
        for one in projections.all:
            one.reset(tables)
        projections.keep_position(tables, 0)
    for _ in range(3):
        assert names(inboxes) == ["reports.kvm1"]
    while projections.advance(store):
        pass
    assert names(inboxes) == ["reports.kvm1"]
    projections.close()
