"""The bus on a real RabbitMQ: redelivery, dead letters, TLS, and what a node may not do."""

from __future__ import annotations

import contextlib
import gc
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import pika
import pytest
from factories import event, stored
from programs import sealward
from running import until

from sealward.events.bus import permissions
from sealward.events.bus.amqp import AmqpPublisher
from sealward.events.bus.amqp_queues import AmqpQueues
from sealward.events.bus.bus import Bus
from sealward.events.bus.connection import BusUnavailable, connect
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.message import Later, Poison
from sealward.events.bus.node_queues import Letter
from sealward.events.bus.tls import Tls
from sealward.events.node import NodeActivated
from sealward.protocol.queues import INBOX, inbox_of, queue_of
from stack.certificates import Certificates, issue
from stack.rabbitmq import RabbitMQ, program


@pytest.fixture
def queues(rabbitmq_server: RabbitMQ, namespace: str) -> Iterator[AmqpQueues]:
    """Yield the queues of nodes, of its own."""
    made = AmqpQueues(rabbitmq_server.url, namespace=namespace)
    yield made
    made.close()


def letters(server: RabbitMQ, namespace: str) -> list[tuple[str, bytes]]:
    """Return reason and body of all dead letters."""
    with DeadLetters(server.url, namespace=namespace) as found:
        return [(one.reason, one.body) for one in found.all()]


def test_what_cannot_be_worked_on_now_comes_again_in_order(bus: Bus) -> None:
    """A reader that says Later gets the same message again before the next one."""
    seen: list[bytes] = []

    def read(body: bytes) -> None:
        seen.append(body)
        if len(seen) == 1:
            raise Later("not now")

    consumer = bus.inbox("reports", read)
    consumer.start()
    for body in (b"one", b"two"):
        bus.submit("reports", body)
    until(lambda: len(seen) == 3, 15)
    consumer.stop()

    assert seen == [b"one", b"one", b"two"]


def test_a_message_whose_reader_dies_is_not_lost(bus: Bus, queues: AmqpQueues) -> None:
    """It was not acknowledged: the next reader gets it."""
    first: list[bytes] = []
    seen: list[bytes] = []
    queues.open("q")
    queues.put([Letter("q", b"order")])
    with connect(bus._connection.as_uri(include_password=True)) as dying:
        got = kombu.Queue(bus._queue("q").name, channel=dying.default_channel).get()
        first.append(bytes(got.body))
    consumer = bus.consumer("q", seen.append)
    consumer.start()
    until(lambda: bool(seen), 15)
    consumer.stop()

    assert first == seen == [b"order"]


def test_poison_lies_with_the_dead_letters_and_can_be_put_back(
    bus: Bus, namespace: str, rabbitmq_server: RabbitMQ
) -> None:
    """With its reason; the next message arrives; replayed it comes again."""
    seen: list[bytes] = []
    cured = False

    def read(body: bytes) -> None:
        if body == b"poison" and not cured:
            raise Poison("event.newer-version", "version 9")
        if body == b"broken":
            raise ValueError(body)
        seen.append(body)

    consumer = bus.inbox("reports", read)
    consumer.start()
    for body in (b"poison", b"broken", b"good"):
        bus.submit("reports", body)
    until(lambda: seen == [b"good"], 15)
    assert letters(rabbitmq_server, namespace) == [
        ("event.newer-version", b"poison"),
        ("bus.reader-broken", b"broken"),
    ]
    cured = True
    with DeadLetters(rabbitmq_server.url, namespace=namespace) as found:
        replayed = found.replay(lambda one: one.reason == "event.newer-version")
        assert [one.body for one in replayed] == [b"poison"]
    until(lambda: seen == [b"good", b"poison"], 15)
    consumer.stop()
    assert letters(rabbitmq_server, namespace) == [("bus.reader-broken", b"broken")]
    with DeadLetters(rabbitmq_server.url, namespace=namespace) as found:
        found.drop(lambda _: True)
    assert letters(rabbitmq_server, namespace) == []


def test_dead_letters_on_the_command_line(rabbitmq_server: RabbitMQ, tmp_path: Path) -> None:
    """`list`, `show`, `replay`, `drop`: what an operator does with them."""
    rabbitmq_server.ctl("add_vhost", "letters")
    rabbitmq_server.ctl("set_permissions", "-p", "letters", "guest", ".*", ".*", ".*")
    url = rabbitmq_server.url.replace("%2F", "letters")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return sealward(tmp_path, "dead-letters", *words, SEALWARD_BROKER_URL=url)

    assert run("list").stdout == ""
    bus = Bus(url)

    def refuse(body: bytes) -> None:
        raise Poison("report.malformed", body.decode())

    consumer = bus.inbox("reports", refuse)
    consumer.start()
    bus.submit("reports", b"garbage")
    until(lambda: run("list").stdout != "", 20)
    consumer.stop()
    letter_id, _, queue, reason, detail = run("list").stdout.split()

    assert (queue, reason, detail) == ("sealward.reports", "report.malformed", "garbage")
    assert run("show", letter_id).stdout == "garbage\n"
    assert run("replay").returncode == 2
    assert run("replay", "--reason", "other").returncode == 1
    assert run("replay", letter_id).returncode == 0
    heard: list[bytes] = []
    consumer = bus.inbox("reports", heard.append)
    consumer.start()
    until(lambda: heard == [b"garbage"], 15)
    consumer.stop()
    bus.close()
    assert run("list").stdout == ""


def test_tls_reaches_whom_it_trusts(
    rabbitmq_server: RabbitMQ, certificates: Certificates, namespace: str
) -> None:
    """Over `amqps://` with the right authority, by kombu and by pika."""
    tls = Tls(ca=certificates.ca)
    heard: list[bytes] = []
    bus = Bus(rabbitmq_server.tls_url, namespace, tls)
    queues = AmqpQueues(rabbitmq_server.tls_url, tls, namespace)
    consumer = bus.consumer("q", heard.append)
    consumer.start()
    queues.open("q")
    queues.put([Letter("q", b"secret")])
    until(lambda: heard == [b"secret"], 15)
    consumer.stop()
    queues.close()
    bus.close()
    publisher = AmqpPublisher(rabbitmq_server.tls_url, tls)
    publisher.publish(stored([event(NodeActivated)]))
    publisher.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # py-amqp leaves its socket open
def test_tls_refuses_another_authority(rabbitmq_server: RabbitMQ, namespace: str, tmp_path: Path) -> None:
    """Not even a connection."""
    stranger = Tls(ca=issue(tmp_path).ca)
    bus = Bus(rabbitmq_server.tls_url, namespace, stranger)
    with pytest.raises(BusUnavailable, match="certificate"):
        bus.send("q", b"secret")
    queues = AmqpQueues(rabbitmq_server.tls_url, stranger, namespace)
    with pytest.raises(BusUnavailable):
        queues.put([Letter("q", b"secret")])
    queues.close()
    publisher = AmqpPublisher(rabbitmq_server.tls_url, stranger)
    with pytest.raises(BusUnavailable):
        publisher.publish(stored([event(NodeActivated)]))
    publisher.close()
    bus.close()
    del bus, queues, publisher
    gc.collect()


@pytest.fixture(scope="module")
def enrolled(rabbitmq_server: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the control plane's URL and that of node kvm-1, whose user the printed script made."""
    rabbitmq_server.ctl("add_vhost", "fleet")
    rabbitmq_server.ctl("set_permissions", "-p", "fleet", "guest", ".*", ".*", ".*")
    control = rabbitmq_server.url.replace("%2F", "fleet")
    folder = tmp_path_factory.mktemp("enroll")
    (folder / "rabbitmqctl").write_text(f'#!/bin/sh\nexec {program("rabbitmqctl")} "$@"\n')
    (folder / "rabbitmqctl").chmod(0o755)
    printed = sealward(folder, "node", "enroll", "kvm-1", "--broker", control.replace("guest:guest@", ""))
    path = f"{folder}:{rabbitmq_server.environment['PATH']}"
    done = subprocess.run(  # noqa: S603 - the script under test
        ["/bin/bash", "-c", printed.stdout],
        cwd=folder,
        env=rabbitmq_server.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file = folder / "kvm-1.broker-url"
    before = file.read_text()
    twice = sealward(folder, "node", "enroll", "kvm-1", "--broker", control.replace("guest:guest@", ""))
    again = subprocess.run(  # noqa: S603 - the script under test, a second time
        ["/bin/bash", "-c", twice.stdout],
        cwd=folder,
        env=rabbitmq_server.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (twice.returncode, again.returncode) == (0, 0), twice.stderr + again.stderr
    assert "is a user already: its password stays" in again.stderr
    assert file.read_text() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (folder / "kvm-1.password").exists()
    return control, file.read_text().strip()


def test_an_enrolled_node_reports_and_hears(enrolled: tuple[str, str]) -> None:
    """What the control plane puts into its queue, which is there once the control plane has made it."""
    control, node, queues = Bus(enrolled[0]), Bus(enrolled[1]), AmqpQueues(enrolled[0])
    own = queue_of("kvm-1")
    reported: list[bytes] = []
    heard: list[bytes] = []
    missing: list[None] = []
    inbox = control.inbox(inbox_of("kvm-1"), reported.append)
    inbox.start()
    reader = node.consumer(own, heard.append, lambda: missing.append(None))
    reader.start()
    until(lambda: bool(missing), 15)
    queues.open(own)
    assert queues.put([Letter(own, b"one"), Letter(own, b"two")]) == frozenset()
    node.submit(inbox_of("kvm-1"), b"report")
    until(lambda: reported == [b"report"] and heard == [b"one", b"two"], 15)
    reader.stop()
    inbox.stop()
    queues.close()
    control.close()
    node.close()


def test_an_enrolled_node_may_do_nothing_else(enrolled: tuple[str, str]) -> None:
    """Neither another node's queue, nor the events, nor the default exchange, nor Celery's orders."""
    control, node, queues = Bus(enrolled[0]), Bus(enrolled[1]), AmqpQueues(enrolled[0])
    queues.open(queue_of("kvm-2"))
    control.publish("x", b"")
    tries: list[Callable[[], None]] = [
        lambda: node.send(queue_of("kvm-1"), b"by the default exchange"),
        lambda: node.publish("sign.revoked.node.2", b"forged"),
        lambda: node.submit("orders", b"forged"),
        lambda: node.submit(INBOX, b"in the inbox that others share"),
        lambda: node.submit(inbox_of("kvm-2"), b"in the inbox of another"),
    ]
    for attempt in tries:
        with pytest.raises(BusUnavailable, match=r"403|ACCESS_REFUSED|access to"):
            attempt()
    refused = connect(enrolled[1])
    with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
        kombu.Queue("sealward.node.kvm-2", channel=refused.default_channel).get()
    refused.release()
    queues.close()
    control.close()
    node.close()


@pytest.mark.parametrize("name", ["sealward.node.kvm-1", "sealward.node.kvm-3", "kvm-1", "amq.gen-kvm-1"])
def test_an_enrolled_node_makes_no_queue(enrolled: tuple[str, str], name: str) -> None:
    """Not even its own: neither with other arguments nor for itself alone; nor any exchange or binding."""
    refused = connect(enrolled[1])
    for words in ({}, {"exclusive": True}, {"arguments": {"x-max-length": 1}}):
        with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
            refused.channel().queue_declare(name, **words)
        with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
            refused.channel().queue_declare("", **words)
    with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
        refused.channel().exchange_declare(name, "direct")
    with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
        refused.channel().queue_delete(name)
    with pytest.raises(refused.channel_errors, match="ACCESS_REFUSED"):
        refused.channel().queue_bind("sealward.node.kvm-1", "sealward.events", "#")
    refused.release()


def test_an_enrolled_node_opens_a_few_connections_and_channels(
    rabbitmq_server: RabbitMQ, enrolled: tuple[str, str]
) -> None:
    """As many as the script has set as limits; the broker refuses the next one."""
    until(lambda: "node.kvm-1" not in rabbitmq_server.ctl("list_connections", "user"), 15)
    parameters = pika.URLParameters(enrolled[1])
    with contextlib.ExitStack() as opened:
        for _ in range(permissions.LIMITS["max-connections"]):
            connection = pika.BlockingConnection(parameters)
            opened.callback(_close, connection)
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(parameters)
        for _ in range(permissions.LIMITS["max-channels"]):
            connection.channel()
        pika.BlockingConnection(pika.URLParameters(enrolled[0])).close()  # another user's is not refused
        with pytest.raises(pika.exceptions.AMQPError):
            connection.channel()


def _close(connection: pika.BlockingConnection) -> None:
    """Close a connection, also one that the broker has closed."""
    if connection.is_open:
        connection.close()
