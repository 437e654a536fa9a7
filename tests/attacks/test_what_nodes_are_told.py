"""What stands in a node's queue counts when the authority has signed it for that node, and when it is new.

The attacker may write to the queue of a node, read what the node is told, and keep it. It has no key of the
authority.
"""

from __future__ import annotations

import base64
import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pika
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from running import WEB, until
from simulation import truths
from simulation.host import Host
from simulation.plane import AUTHORITY, AUTHORITY_PEM
from simulation.steps import is_valid, tick
from simulation.world import NOON, World

from sealward.commands import messages as ask
from sealward.commands.context import RequestContext
from sealward.events.is_valid import IsValid
from sealward.events.policy import OnDoubt, OnViolation, Policy
from sealward.events.signing import envelope as envelopes
from sealward.events.signing.keys import private_key, public_pem
from sealward.node_agent.messages.trust import PINNED, AuthorityUnknown, PinnedTrust, Trust
from sealward.protocol import codec, telling
from sealward.protocol.desired import Desired
from sealward.protocol.queues import queue_of
from sealward.protocol.telling import Behind, Incoming
from stack.sealward import Stack

STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
STRANGER_PEM = public_pem(STRANGER.public_key())
STRICT = Policy(on_start=OnDoubt.REFUSE, on_violation=OnViolation.OBSERVE)
LAX = Desired(1, 10**6, None, STRANGER_PEM, (), ())
"""What took a node over: another authority, no references, nothing enforced."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield two nodes in fine weather."""
    made = World(0, tmp_path, truths.always)
    made.boot()
    made.settle()
    yield made
    made.close()


@pytest.fixture
def host(world: World) -> Host:
    """Return an active node with a signed server and a strict policy."""
    host = world.hosts[0]
    world.create(host.server_ids[0])
    world.handle(world.switch(host, ask.ActivateNode))
    world.handle(
        ask.SetNodePolicy(
            context=RequestContext(actor="user:admin", task_id=world.task_id()),
            hostname=host.hostname,
            policy=STRICT,
        )
    )
    world.settle()
    return host


def told(message: telling.Message, to: str = "kvm1", key: Ed25519PrivateKey = AUTHORITY) -> bytes:
    """Return a message as it stands in a queue."""
    return telling.seal(telling.Told(to, message), key)


def enveloped(payload: bytes, kind: str = telling.PAYLOAD_TYPE, key: Ed25519PrivateKey = AUTHORITY) -> bytes:
    """Return any payload in an envelope."""
    return msgspec.json.encode(envelopes.sign(envelopes.Envelope(payload, kind), key).to_json())


def revoked(server_id: str) -> bytes:
    """Return an event that takes a server off control, later than all others."""
    event = {
        "specversion": "1.0",
        "id": "0",
        "source": "/sealward",
        "type": "io.sealward.sign.revoked",
        "subject": f"sign/{server_id}",
        "time": NOON.isoformat(),
        "sequence": f"{10**6:020d}",
        "stream": "0d5e6a51-6f2a-5d0e-9d0a-5ea1a4d00001",
        "streamversion": 9,
        "data": {
            "version": 1,
            "timestamp": NOON.isoformat(),
            "actor": "user:admin",
            "sign_id": 1,
            "server_id": server_id,
            "node_id": 1,
            "generation": 1,
        },
    }
    return json.dumps(event).encode()


def forged(server_id: str) -> dict[str, bytes]:
    """Return what an attacker may put into the queue of kvm1, by what it is."""
    event = telling.Happened(msgspec.Raw(revoked(server_id)))
    signed = json.loads(told(LAX))
    other = json.loads(told(LAX, key=STRANGER))
    good = telling.seal(telling.Told("kvm1", telling.Anew(1)), AUTHORITY)
    bodies = {
        "a bare desired": msgspec.json.encode(LAX),
        "a bare event": revoked(server_id),
        "a bare incoming": msgspec.json.encode(Incoming(server_id, None)),
        "a bare behind": msgspec.json.encode(Behind(10**6, "n")),
        "a bare anew": msgspec.json.encode(telling.Anew(10**6)),
        "signed by a stranger": told(LAX, key=STRANGER),
        "an event signed by a stranger": told(event, key=STRANGER),
        "for another node": told(LAX, to="kvm2"),
        "an event for another node": told(event, to="kvm2"),
        "for the same name in another case": told(LAX, to="KVM1"),
        "under the wrong type": enveloped(msgspec.json.encode(telling.Told("kvm1", LAX)), "application/json"),
        "what a report is": enveloped(msgspec.json.encode(LAX), codec.PAYLOAD_TYPE),
        "a payload that is no message": enveloped(b'{"to":"kvm1"}'),
        "a payload that is no JSON": enveloped(b"\xff\x00"),
        "a position that is a text": enveloped(b'{"to":"kvm1","message":{"kind":"anew","position":"1"}}'),
        "a kind that nobody knows": enveloped(b'{"to":"kvm1","message":{"kind":"obey"}}'),
        "no signature": json.dumps(signed | {"signatures": []}).encode(),
        "another's signature": json.dumps(signed | {"signatures": other["signatures"]}).encode(),
        "the right keyid": json.dumps(
            signed | {"signatures": [{"keyid": signed["signatures"][0]["keyid"], "sig": "AAAA"}]}
        ).encode(),
        "another payload": json.dumps(json.loads(good) | {"payload": other["payload"]}).encode(),
        "one bit": good.replace(base64.b64encode(b'{"to":"k')[:8], base64.b64encode(b'{"to":"l')[:8]),
        "sixteen signatures": json.dumps(signed | {"signatures": other["signatures"] * 16}).encode(),
        "seventeen signatures": json.dumps(signed | {"signatures": signed["signatures"] * 17}).encode(),
        "nothing": b"",
        "no text": b"\xff\xfe",
        "a number": b"17",
        "deep": b"[" * 100_000,
        "deep and signed": enveloped(b'{"to":' + b"[" * 100_000),
        "long": b"x" * 3_000_000,
        "the reference itself": enveloped(b"{}", "application/vnd.in-toto+json"),
    }
    # What the authority has signed and is no answer to this agent, or old.
    answers: dict[str, telling.Message] = {
        "an answer to nobody": LAX,
        "an answer to another": msgspec.structs.replace(LAX, answers="2026-01-01T00:00:00+00:00"),
        "where another began": Behind(10**6, "n"),
    }
    return bodies | {name: told(message) for name, message in answers.items()}


NAMES = tuple(forged(WEB))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_told_changes_nothing(world: World, host: Host, name: str) -> None:
    """Authority, references, policy and verdict stay; the agent goes on, and neither raises nor answers."""
    body = forged(host.server_ids[0])[name]
    agent = host.agent
    assert agent is not None
    before = standing(host)
    for _ in range(3):
        agent.receive(body)

    assert world.network.inbox == []
    assert standing(host) == before
    assert agent.registered
    host.change(host.server_ids[0], 1)
    world.settle()
    assert is_valid(world, host.server_ids[0]) is IsValid.FALSE


def standing(host: Host) -> tuple[object, ...]:
    """Return what a node believes and enforces."""
    agent = host.agent
    assert agent is not None
    ledger = agent._ledger
    return (
        agent.trust.pems,
        ledger.fact("signers"),
        ledger.entries(),
        ledger.policy(""),
        agent._signs.is_active,
        agent._cursor.position,
    )


def test_what_was_told_before_changes_nothing_when_it_is_told_again(world: World, host: Host) -> None:
    """All that a node ever heard, in any order, after its policy was made strict and its server false."""
    heard: list[bytes] = []
    agent = host.agent
    assert agent is not None
    receive = agent.receive

    def keep(body: bytes) -> None:
        heard.append(body)
        receive(body)

    agent.receive = keep  # type: ignore[method-assign]  # to replay it
    lax = Policy()
    for policy in (lax, STRICT, lax, STRICT):
        world.handle(
            ask.SetNodePolicy(
                context=RequestContext(actor="user:admin", task_id=world.task_id()),
                hostname=host.hostname,
                policy=policy,
            )
        )
        world.now_registers(host)
        world.settle()
    tick(world, host)
    before = standing(host)
    for body in [*heard, *reversed(heard)]:
        receive(body)
    world.settle()

    assert len(heard) > 8
    assert standing(host)[:-1] == before[:-1]


def test_it_is_said_once_a_minute_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Who floods a queue floods no log; and no line of the log is forged."""
    now = 0.0
    trust = Trust((AUTHORITY_PEM,), clock=lambda: now)
    for _ in range(1000):
        assert trust.unsealed(b"x\nERROR forged", "kvm1") is None
    now = 61.0
    trust.unsealed(b"x", "kvm1")
    trust.unsealed(told(LAX, key=STRANGER), "kvm1")

    assert trust.refused == {"told.malformed": 1001, "told.not-verified": 1}
    assert len(caplog.records) == 3
    assert all("\n" not in one.getMessage() for one in caplog.records)


def test_an_agent_that_knows_no_authority_does_not_start(tmp_path: Path) -> None:
    """Unless it is to believe the first one."""
    with pytest.raises(AuthorityUnknown, match="SEALWARD_JOIN_FILE"):
        PinnedTrust(tmp_path)
    assert PinnedTrust(tmp_path, at_first_sight=True).pems == ()


def test_a_pinned_key_stays_pinned(tmp_path: Path) -> None:
    """Across starts, with any later invitation, and with any message in its queue."""
    PinnedTrust(tmp_path, lambda: AUTHORITY_PEM)
    again = PinnedTrust(tmp_path, lambda: STRANGER_PEM, at_first_sight=True)

    assert again.pems == (AUTHORITY_PEM,)
    assert again.unsealed(told(LAX, key=STRANGER), "kvm1") is None
    assert again.unsealed(told(LAX), "kvm1") is not None


def test_at_first_sight_the_first_answer_is_believed_and_pinned(tmp_path: Path) -> None:
    """Nothing else is: no event, and no answer that its own key has not signed."""
    trust = PinnedTrust(tmp_path, at_first_sight=True)
    desired = Desired(1, 5, None, AUTHORITY_PEM, (), ())
    assert trust.unsealed(told(telling.Anew(1)), "kvm1") is None
    assert trust.unsealed(told(desired, key=STRANGER), "kvm1") is None
    answer = trust.unsealed(told(desired), "kvm1")
    assert answer is not None
    trust.take(desired)

    assert PinnedTrust(tmp_path).pems == (AUTHORITY_PEM,)


@pytest.mark.parametrize(
    "text", ["", "garbage", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", AUTHORITY_PEM + "x"]
)
def test_what_is_no_key_is_not_pinned(tmp_path: Path, text: str) -> None:
    """The agent does not start, and the file is not made."""
    with pytest.raises(ValueError, match="key"):
        PinnedTrust(tmp_path, lambda: text)
    assert not (tmp_path / PINNED).exists()


@pytest.fixture(scope="module")
def stack(attacked: Stack) -> Stack:
    """Return the real topology with its node's own queue."""
    return attacked


def test_a_nodes_real_queue_with_an_administrators_user(stack: Stack) -> None:
    """Row 6: no message in the queue replaces the authority, wipes references or sets the policy back."""
    status, answer = stack.ask("POST", "/v1/sign", {"server_id": WEB})
    assert (status, answer["sign"]["is_valid"]) == (201, "true")
    nodes = stack.ask("GET", "/v1/node")[1]["nodes"]
    (node,) = (one for one in nodes if one["hostname"] == socket.gethostname())
    path = f"/v1/node/{node['id']}/policy"
    assert stack.ask("PUT", path, {"on_start": "refuse"})[0] == 200
    until(lambda: "refuse" in str(kept(stack)["policies"]), 15)
    until(lambda: bool(kept(stack)["references"]), 15)
    before = kept(stack)
    authority = private_key(stack.secrets / "authority-key")
    hostname = node["hostname"]
    bodies = [
        one.replace(b"kvm1", hostname.encode()) if one.startswith(b"{") else one
        for one in forged(WEB).values()
    ]
    desired = msgspec.structs.replace(LAX, node_id=node["id"])
    bodies += [
        telling.seal(telling.Told(hostname, desired), STRANGER),
        telling.seal(telling.Told(hostname, desired), authority),  # an answer that nobody asked for
    ]
    put(stack, hostname, bodies)
    until(lambda: waiting(stack, hostname) == 0, 30)

    assert kept(stack) == before
    assert "a message is ignored" in stack.log("agent-1")
    assert stack.ask("DELETE", f"/v1/sign/{WEB}")[0] == 204
    status, answer = stack.ask("POST", "/v1/sign", {"server_id": WEB})
    assert (status, answer["sign"]["is_valid"]) == (201, "true")


def kept(stack: Stack) -> dict[str, object]:
    """Return what the node has on its disk."""
    folder = stack.folder / "agent-1" / "node"
    with sqlite3.connect(f"file:{folder}/ledger.sqlite?mode=ro", uri=True) as ledger:
        facts = dict(ledger.execute("SELECT name, value FROM facts").fetchall())
        return {
            "policies": ledger.execute("SELECT * FROM policies").fetchall(),
            "references": ledger.execute("SELECT * FROM entries").fetchall(),
            "signers": facts["signers"],
            "pinned": (folder / PINNED).read_text(),
        }


def put(stack: Stack, hostname: str, bodies: list[bytes]) -> None:
    """Write to a node's queue as an administrator of the broker."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url))
    channel = connection.channel()
    for body in bodies:
        channel.basic_publish("", f"sealward.{queue_of(hostname)}", body)
    connection.close()


def waiting(stack: Stack, hostname: str) -> int:
    """Return how many messages stand in a node's queue."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url))
    found = connection.channel().queue_declare(f"sealward.{queue_of(hostname)}", passive=True)
    connection.close()
    return int(found.method.message_count)
