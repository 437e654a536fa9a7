"""Messages that somebody lays with the dead letters: they go nowhere, and say nothing to a terminal."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import pytest
from programs import sealward
from running import until

from sealward.events.bus.bus import Bus
from sealward.events.bus.connection import connect
from sealward.events.bus.dead_letters import DeadLetters
from sealward.events.bus.message import Poison
from stack.rabbitmq import RabbitMQ

EVIL = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\x9b31m\rreplayed: ok"


QUEUES = ("sealward.reports", "sealward.dead-letters", "sealward.node.kvm2", "victim")
"""What the tests make in their virtual host."""


@pytest.fixture(scope="module")
def host(rabbitmq_server: RabbitMQ) -> Iterator[str]:
    """Yield the control plane's URL, in a virtual host of this module, where `node.NAME` may lay letters."""
    name = uuid.uuid4().hex
    rabbitmq_server.ctl("add_vhost", name)
    rabbitmq_server.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    rabbitmq_server.ctl("add_user", f"node.{name}", "secret")
    rabbitmq_server.ctl(
        "set_permissions", "-p", name, f"node.{name}", "^$", r"^sealward\.dead-letters$", "^$"
    )
    yield rabbitmq_server.url.replace("%2F", name)
    rabbitmq_server.ctl("delete_user", f"node.{name}")
    rabbitmq_server.ctl("delete_vhost", name)


@pytest.fixture
def url(host: str) -> Iterator[str]:
    """Yield the URL of that virtual host; the queues that a test leaves there are deleted."""
    yield host
    with connect(host) as connection:
        for name in QUEUES:
            connection.default_channel.queue_delete(name)


@pytest.fixture
def letter(url: str) -> Iterator[Callable[..., None]]:
    """Yield what lays a letter there as the node's user, with the headers of the control plane's own."""
    name = url.rpartition("/")[2]
    bus = Bus(url)
    consumer = bus.inbox("reports", lambda _: None)
    consumer.start()
    bus.submit("reports", b"the inboxes are there")
    node = connect(url.replace("guest:guest", f"node.{name}:secret"))

    def lay(queue: str, body: bytes = b"forged", **more: str) -> None:
        kombu.Producer(node).publish(
            body,
            exchange="sealward.dead-letters",
            routing_key="sealward.dead-letters",
            message_id=more.pop("message_id", str(uuid.uuid4())),
            headers={"sealward-queue": queue, "sealward-reason": "report.malformed"} | more,
        )

    yield lay
    node.release()
    consumer.stop()
    bus.close()


@pytest.mark.parametrize(
    "queue",
    [
        "sealward.node.kvm2",
        "sealward.reports",
        "sealward.orders",
        "sealward.dead-letters",
        "sealward.events",
        "celeryev",
        "",
        "amq.topic",
        "victim",
    ],
)
def test_a_letter_of_somebody_else_goes_nowhere(url: str, letter: Callable[..., None], queue: str) -> None:
    """The queue that a forged letter names does not count; the letter stays until it is dropped."""
    with connect(url) as connection:
        for name in ("sealward.node.kvm2", "victim"):
            kombu.Queue(name, channel=connection.default_channel, durable=True).declare()
    letter(queue)
    with DeadLetters(url) as letters:
        assert letters.replay(lambda _: True) == []
        (left,) = letters.all()
        assert (left.queue, left.is_ours) == (queue, False)
    with connect(url) as connection:
        for name in ("sealward.node.kvm2", "victim"):
            assert kombu.Queue(name, channel=connection.default_channel).get() is None


@pytest.mark.parametrize("queue", ["sealward.node.kvm2", "victim", "amq.topic", "", "sealward.dead-letters"])
def test_even_our_own_letter_goes_back_to_an_inbox_alone(url: str, queue: str) -> None:
    """Also if the letter names another queue by mistake."""
    with connect(url) as connection:
        exchange = kombu.Exchange("sealward.dead-letters", "direct", durable=True)
        kombu.Queue(
            "sealward.dead-letters", exchange, "sealward.dead-letters", channel=connection.default_channel
        ).declare()
        kombu.Producer(connection).publish(
            b"x",
            exchange="sealward.dead-letters",
            routing_key="sealward.dead-letters",
            user_id="guest",
            headers={"sealward-queue": queue},
        )
    with DeadLetters(url) as letters:
        assert letters.replay(lambda _: True) == []
        assert [one.is_ours for one in letters.all()] == [True]


def test_what_the_control_plane_set_aside_comes_back_in_its_name(url: str) -> None:
    """To the inbox that it came from; its reader can tell that an operator has put the letter back."""
    heard: list[tuple[bytes, str | None]] = []
    cured = False

    def read(batch: object) -> list[Poison | None]:
        answers: list[Poison | None] = []
        for one in batch:  # type: ignore[attr-defined]
            heard.append((one.body, one.sender))
            answers.append(None if cured else Poison("report.malformed", "not yet"))
        return answers

    bus = Bus(url)
    consumer = bus.inbox_in_batches("reports", read)
    consumer.start()
    bus.submit("reports", b"later")
    with DeadLetters(url) as letters:
        until(lambda: [one.is_ours for one in letters.all()] == [True], 20)
        cured = True
        assert [one.sender for one in letters.replay(lambda _: True)] == ["guest"]
    until(lambda: heard == [(b"later", "guest")] * 2, 20)
    consumer.stop()
    bus.close()


def test_what_is_printed_is_escaped(url: str, letter: Callable[..., None], tmp_path: Path) -> None:
    """Terminal escapes and characters that turn text around, in every field that somebody else chose."""
    letter_id = f"id-{EVIL}"
    letter(EVIL, EVIL.encode(), message_id=letter_id, **{"sealward-detail": EVIL, "sealward-at": EVIL})
    for words in (("list",), ("show", letter_id), ("replay", "--all"), ("drop", "--all")):
        done = sealward(tmp_path, "dead-letters", *words, SEALWARD_BROKER_URL=url)
        printed = done.stdout + done.stderr
        assert printed.replace("\n", "").isprintable(), (words, printed)
        assert "owned" in printed
