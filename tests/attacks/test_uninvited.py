"""Who may become a node: nobody without an invitation, once, in time, from where the secret went."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from door import NOW, SERVERS, STRANGER, Door
from hypothesis import given
from hypothesis import strategies as st
from reporter import Reporter

from sealward.commands.context import RequestContext
from sealward.commands.errors import InvitationSpent, InvitationUsed, NodeExists, NotInvited, Rejected
from sealward.commands.messages import AdmitNode, InviteNode, RemoveNode, UninviteNode
from sealward.events.bus.message import Delivered
from sealward.events.node import NodeInvited, NodeRegistered
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keys import public_pem
from sealward.events.store.store import EventStore, in_memory
from sealward.protocol import codec, reports

OWN = "sealward-worker"
SECRET = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
ANOTHER = Ed25519PrivateKey.from_private_bytes(b"j" * 32)


@pytest.fixture
def door(store: EventStore) -> Door:
    """Return a door at a broker; nobody is let in at first sight."""
    return Door(store, OWN, only_invited=True)


@pytest.fixture
def host() -> Reporter:
    """Return a host that nobody knows."""
    return Reporter("kvm1", 1)


def invite(door: Door, hostname: str = "kvm1", key: Ed25519PrivateKey = SECRET, hours: float = 1.0) -> None:
    """Invite a host."""
    command = InviteNode(
        context=RequestContext(actor="user:root"),
        hostname=hostname,
        invitation=public_pem(key.public_key()),
        expires_at=door.now + timedelta(hours=hours),
    )
    door.handler.handle(command)


def registration(host: Reporter, *keys: Ed25519PrivateKey, nonce: str = "n") -> bytes:
    """Return how a host registers, signed by its own key and those as well."""
    pem = public_pem(host.key.public_key())
    said = reports.Registration(hostname=host.hostname, public_key=pem, nonce=nonce)
    return codec.seal(codec.numbered(said, next(host.turns)), host.key, *keys)


def send(door: Door, *bodies: bytes, sender: str = "node.kvm1") -> list[str | None]:
    """Have messages taken."""
    return door.deliver(*[Delivered(one, {}, sender) for one in bodies])


def registered(door: Door) -> list[tuple[int, str]]:
    """Return who was let in, by id and hostname."""
    return [(one.node_id, one.hostname) for one in door.log() if isinstance(one, NodeRegistered)]


def test_an_invited_host_is_let_in_once(door: Door, host: Reporter) -> None:
    """Its registration may come as often as it likes, the answer may be lost, the agent may start again."""
    invite(door)
    assert send(door, registration(host, SECRET)) == [None]
    assert send(door, registration(host, SECRET), registration(host), host.inventory(*SERVERS)) == [None] * 3

    (invited,) = (one for one in door.log() if isinstance(one, NodeInvited))
    assert registered(door) == [(invited.node_id, "kvm1")]
    assert (invited.actor, invited.hostname) == ("user:root", "kvm1")


def test_nobody_registers_uninvited(door: Door) -> None:
    """Eight hundred invented nodes, each with a good key: no event, no queue, a count."""
    for number in range(800):
        name = f"kvm-{number}"
        assert send(door, registration(Reporter(name, 1), SECRET), sender=f"node.{name}") == [
            "node.not-invited"
        ]

    assert (door.log(), door.told, door.sent) == ([], [], [])


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ((), "node.not-invited"),
        ((ANOTHER,), "node.not-invited"),
        ((STRANGER, ANOTHER), "node.not-invited"),
    ],
)
def test_a_registration_proves_its_invitation(
    door: Door, host: Reporter, keys: tuple[Ed25519PrivateKey, ...], reason: str
) -> None:
    """Another invitation's secret is none, even if that invitation is good elsewhere."""
    invite(door)
    invite(door, "kvm2", ANOTHER)

    assert send(door, registration(host, *keys)) == [reason]
    assert registered(door) == []
    assert send(door, registration(host, SECRET)) == [None]


def test_nobody_on_the_way_can_change_a_registration(door: Door, host: Reporter) -> None:
    """Both signatures are over all of it: another key, another hostname, a signature moved from elsewhere."""
    invite(door)
    invite(door, "kvm2", ANOTHER)
    good = envelopes.parse(registration(host, SECRET))
    thief = Reporter("kvm1", 1, STRANGER)
    theirs = envelopes.parse(registration(thief))
    tries = [
        envelopes.Envelope(theirs.payload, theirs.payload_type, (*theirs.signatures, good.signatures[1])),
        envelopes.Envelope(good.payload, good.payload_type, (theirs.signatures[0], good.signatures[1])),
        envelopes.Envelope(good.payload.replace(b"kvm1", b"kvm2"), good.payload_type, good.signatures),
        envelopes.Envelope(good.payload, good.payload_type, good.signatures[1:]),
        envelopes.Envelope(good.payload, good.payload_type, good.signatures[:1] * 2),
    ]
    answers = [send(door, msgspec.json.encode(one.to_json()))[0] for one in tries]

    assert all(one is not None for one in answers)
    assert registered(door) == []


def test_an_invitation_expires(door: Door, host: Reporter) -> None:
    """To the moment; made anew it counts again."""
    invite(door, hours=1)
    door.now = NOW + timedelta(hours=1)
    assert send(door, registration(host, SECRET)) == ["invitation.expired"]
    invite(door, hours=1)
    assert send(door, registration(host, SECRET)) == [None]
    door.now += timedelta(days=400)
    assert send(door, registration(host, SECRET)) == [None]  # it is a node by now


def test_an_invitation_can_be_revoked(door: Door, host: Reporter) -> None:
    """Before it was used; what was used is a node's, which is removed otherwise."""
    invite(door)
    door.handler.handle(UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm1"))
    assert send(door, registration(host, SECRET)) == ["invitation.revoked"]
    with pytest.raises(NotInvited):
        door.handler.handle(UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm1"))
    with pytest.raises(NotInvited):
        door.handler.handle(UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm7"))
    invite(door, key=ANOTHER)
    assert send(door, registration(host, SECRET)) == ["node.not-invited"]
    assert send(door, registration(host, ANOTHER)) == [None]
    with pytest.raises(InvitationUsed):
        door.handler.handle(UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm1"))


def test_a_used_invitation_lets_nobody_else_in(door: Door, host: Reporter) -> None:
    """Not under another key, nor after the node was removed; none is made anew while there is a node."""
    invite(door)
    send(door, registration(host, SECRET))
    thief = Reporter("kvm1", 1, STRANGER)
    assert send(door, registration(thief, SECRET)) == ["invitation.used"]
    assert send(door, registration(thief)) == ["node.hostname-taken"]
    with pytest.raises(NodeExists):
        invite(door, key=ANOTHER)
    invite(door)  # the same again is no news
    door.handler.handle(RemoveNode(context=RequestContext(actor="user:root"), hostname="kvm1", signed=()))
    assert send(door, registration(thief, SECRET)) == ["node.removed"]
    assert send(door, registration(host, SECRET)) == ["node.removed"]

    invite(door, key=ANOTHER)
    assert send(door, registration(host, ANOTHER)) == [None]
    (first, again) = registered(door)
    assert again[0] > first[0]


def test_a_revoked_invitation_is_not_made_good_again(door: Door, host: Reporter) -> None:
    """It was revoked because its file leaked; the command that enrolls the host finds that file again."""
    invite(door)
    door.handler.handle(UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm1"))
    with pytest.raises(InvitationSpent):
        invite(door, hours=24)
    invite(door, key=ANOTHER)
    with pytest.raises(InvitationSpent):
        invite(door)
    thief = Reporter("kvm1", 1, STRANGER)
    assert send(door, registration(thief, SECRET)) == ["node.not-invited"]
    assert send(door, registration(host, ANOTHER)) == [None]


def test_a_used_invitation_is_not_made_good_again(door: Door, host: Reporter) -> None:
    """An attacker who had root on a removed host still has the host's join file."""
    for key in (SECRET, ANOTHER):
        invite(door, key=key)
        assert send(door, registration(host, key)) == [None]
        door.handler.handle(RemoveNode(context=RequestContext(actor="user:root"), hostname="kvm1", signed=()))
    for key in (SECRET, ANOTHER):
        with pytest.raises(InvitationSpent):
            invite(door, key=key)
    thief = Reporter("kvm1", 1, STRANGER)
    assert send(door, registration(thief, SECRET)) == ["node.removed"]


def test_an_invited_host_is_no_node_yet(door: Door, host: Reporter) -> None:
    """Nothing it says counts; an administrator can let it in by its key as well."""
    invite(door)
    assert (
        send(door, host.inventory(*SERVERS), host.bundle(host.inventory(), host.swept(NOW, "")))
        == ["node.not-found"] * 2
    )
    pem = public_pem(host.key.public_key())
    door.handler.handle(AdmitNode(context=RequestContext(actor="user:root"), hostname="kvm1", public_key=pem))
    assert send(door, registration(host), host.inventory(*SERVERS)) == [None, None]


def test_what_was_said_before_the_node_was_let_in_does_not_count_later(door: Door, host: Reporter) -> None:
    """An inventory that was kept back, under the key that is the node's by now."""
    early = host.inventory(*SERVERS)
    invite(door)
    assert send(door, registration(host, SECRET), early) == [None, "report.not-newer"]


@given(st.lists(st.sampled_from(["invite", "uninvite", "register", "steal", "remove", "later"]), max_size=12))
def test_in_every_history_only_the_invited_come_in(steps: list[str]) -> None:
    """In each order of steps: a host that is let in was invited, and registers in time, once."""
    door = Door(in_memory(), OWN, only_invited=True)
    host, thief = Reporter("kvm1", 1), Reporter("kvm1", 1, STRANGER)
    open_until = None
    member = False
    for step in steps:
        before = len(registered(door))
        try:
            match step:
                case "invite":
                    invite(door)
                    open_until = open_until if member else door.now + timedelta(hours=1)
                case "uninvite":
                    door.handler.handle(
                        UninviteNode(context=RequestContext(actor="user:root"), hostname="kvm1")
                    )
                    open_until = None
                case "remove":
                    door.handler.handle(
                        RemoveNode(context=RequestContext(actor="user:root"), hostname="kvm1", signed=())
                    )
                    member = False
                case "later":
                    door.now += timedelta(minutes=40)
                case "register":
                    send(door, registration(host, SECRET))
                case "steal":
                    send(door, registration(thief))
        except Rejected:
            continue
        if len(registered(door)) > before:
            assert step == "register"
            assert open_until is not None
            assert door.now < open_until
            member, open_until = True, None
