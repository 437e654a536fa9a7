"""The whole topology on a real broker, attacked by a client with the broker's user of a node.

The user of the evil node is of an earlier version: it writes to the inbox that such users share.
`test_one_nodes_flood.py` has users that write to inboxes of their own.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator

import kombu
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from reporter import Reporter, ever_later
from running import WEB, until

from sealward.events.bus.connection import connect
from sealward.events.bus.permissions import of_node, user_of
from sealward.events.signing.keys import private_key
from sealward.protocol import reports
from sealward.protocol.queues import inbox_of
from stack.sealward import Stack

EVIL = "kvm-evil-of-before"
SHARED = "sealward.reports"


@pytest.fixture(scope="module")
def stack(attacked: Stack) -> Stack:
    """Return the topology, with the user of another node that was never invited."""
    may = of_node(EVIL)
    attacked.rabbitmq.ctl("add_user", user_of(EVIL), "secret")
    attacked.rabbitmq.ctl("set_permissions", user_of(EVIL), may.configure, f"^{SHARED}$", may.read)
    return attacked


@pytest.fixture
def evil(stack: Stack) -> Iterator[kombu.Connection]:
    """Yield a connection as that node's user."""
    with connect(stack.rabbitmq.url.replace("guest:guest", f"{user_of(EVIL)}:secret")) as connection:
        yield connection


def publish(connection: kombu.Connection, bodies: list[bytes], user: str | None, inbox: str = SHARED) -> None:
    """Publish reports as fast as one can."""
    producer = kombu.Producer(connection.channel())
    more = {} if user is None else {"user_id": user}
    for body in bodies:
        producer.publish(body, exchange=inbox, routing_key=inbox, **more)


def dropped(stack: Stack) -> dict[tuple[str, str], int]:
    """Return how many messages were dropped, by user and reason."""
    found = stack.ask("GET", "/healthcheck?detailed")[1]["unproven"]
    return {(one["user"], one["reason"]): one["messages"] for one in found}


def head(stack: Stack) -> int:
    """Return where the log is."""
    return int(stack.ask("GET", "/healthcheck?detailed")[1]["head"])


def is_well(stack: Stack) -> bool:
    """Say whether the honest node is heard, and the server is signed and validated at once."""
    nodes = stack.ask("GET", "/v1/node")[1]["nodes"]
    (node,) = (one for one in nodes if one["hostname"] == socket.gethostname())
    return bool(node["reachable"])


def queues(stack: Stack) -> set[str]:
    """Return the names of all queues."""
    return set(stack.rabbitmq.ctl("list_queues", "name").split())


def dead_letters(stack: Stack) -> int:
    """Return how many messages lie with the dead letters."""
    found = stack.rabbitmq.ctl("list_queues", "name", "messages").split()
    return int(found[found.index("sealward.dead-letters") + 1])


def counted(stack: Stack, user: str, reason: str, number: int) -> Callable[[], bool]:
    """Return what says whether so many messages were counted."""
    return lambda: dropped(stack).get((user, reason), 0) >= number


def test_forged_messages_in_an_honest_nodes_name_are_counted(stack: Stack, evil: kombu.Connection) -> None:
    """Three thousand of them, signed by somebody or by nobody: no event, no dead letter, the node is well."""
    victim = Reporter(socket.gethostname(), 1)
    before, known, letters = head(stack), dropped(stack), dead_letters(stack)
    forged = [victim.inventory(), victim.seal(reports.Heartbeat(hostname=victim.hostname)), b"garbage"] * 1000
    publish(evil, forged, user_of(EVIL))
    until(
        lambda: sum(dropped(stack).values()) - sum(known.values()) >= 3000,
        60,
    )

    assert set(dropped(stack)) - set(known) <= {
        (user_of(EVIL), reason)
        for reason in ("report.wrong-sender", "envelope.malformed", "report.over-quota")
    }
    refused = stack.ask("GET", f"/v1/events?type=node.report-refused&after={before}")[1]["events"]
    assert refused == []
    assert head(stack) - before < 200  # what the honest node says meanwhile
    assert dead_letters(stack) == letters
    assert is_well(stack)


def test_nobody_can_name_another_user_as_the_sender(stack: Stack, evil: kombu.Connection) -> None:
    """RabbitMQ closes the channel; a message without a sender is nobody's."""
    victim = Reporter(socket.gethostname(), 1)
    channel = evil.channel()
    with pytest.raises(evil.channel_errors, match="PRECONDITION_FAILED"):
        kombu.Producer(channel).publish(
            victim.inventory(),
            exchange=SHARED,
            routing_key=SHARED,
            user_id=user_of(victim.hostname),
        )
    publish(evil, [victim.inventory()], None)
    until(counted(stack, "", "report.no-sender", 1), 20)
    assert is_well(stack)


def test_no_hostname_registers_uninvited(stack: Stack, evil: kombu.Connection) -> None:
    """Neither its own nor eight hundred invented ones, nor the honest node's: nothing is made."""
    before, nodes = queues(stack), stack.ask("GET", "/v1/node")[1]["nodes"]
    own = Reporter(EVIL, 1)
    invented = [Reporter(f"kvm-{uuid.uuid4()}", 1).registration() for _ in range(800)]
    taken = Reporter(socket.gethostname(), 1).registration()
    publish(evil, [own.registration(), *invented, taken], user_of(EVIL))
    until(counted(stack, user_of(EVIL), "node.not-invited", 1), 30)
    until(counted(stack, user_of(EVIL), "report.wrong-sender", 801), 60)

    assert queues(stack) == before
    assert len(stack.ask("GET", "/v1/node")[1]["nodes"]) == len(nodes)
    registered = stack.ask("GET", "/v1/events?type=node.registered")[1]["events"]
    assert EVIL not in {one["data"]["hostname"] for one in registered}


def test_the_node_itself_cannot_say_old_things_again(stack: Stack) -> None:
    """With its own key, as its own user: what is older than what was heard is refused."""
    hostname = socket.gethostname()
    key = private_key(stack.folder / "agent-1" / "node" / "key.pem")
    old = Reporter(hostname, 1, key, turns=ever_later(1))
    url = (stack.secrets / "node-broker-url").read_text().strip()
    servers = stack.ask("GET", "/v1/server")[1]["servers"]
    with connect(url) as connection:
        until(lambda: is_well(stack), 20)
        stack.kill("agent-1")
        stack.start_process("agent-1")  # boot 2, or later
        until(lambda: is_well(stack), 20)
        time.sleep(2)
        own = f"sealward.{inbox_of(hostname)}"
        publish(connection, [old.inventory(), old.registration()], user_of(hostname), own)
        until(counted(stack, user_of(hostname), "report.not-newer", 2), 20)
    assert stack.ask("GET", "/v1/server")[1]["servers"] == servers
    assert is_well(stack)


@pytest.mark.alone
def test_a_huge_inventory_holds_up_nobody(stack: Stack, evil: kombu.Connection) -> None:
    """An invited node says that it has 60,000 servers, and others flood; the honest node is never lost."""
    until(lambda: is_well(stack), 20)
    before, key = head(stack), Ed25519PrivateKey.generate()
    node = Reporter(EVIL, 2, key)
    done = stack.ask("POST", "/v1/node", {"hostname": EVIL, "public_key": _pem(key)})
    assert done[0] == 201
    huge = node.inventory(*[str(uuid.UUID(int=number + 1)) for number in range(60_000)])
    publish(evil, [node.registration(), huge, *[b"x" * 1000] * 11_000], user_of(EVIL))
    until(counted(stack, user_of(EVIL), "report.over-quota", 1), 60)
    for _ in range(20):
        assert is_well(stack)
        time.sleep(0.5)
    lost = stack.ask("GET", f"/v1/events?type=node.lost&after={before}")[1]["events"]
    assert socket.gethostname() not in {one["data"]["hostname"] for one in lost}
    status, signed = stack.ask("POST", "/v1/sign", {"server_id": WEB})
    assert (status, signed["sign"]["is_valid"]) == (201, "true"), "the honest node is not heard any more"


def _pem(key: Ed25519PrivateKey) -> str:
    from sealward.events.signing.keys import public_pem  # noqa: PLC0415

    return public_pem(key.public_key())
