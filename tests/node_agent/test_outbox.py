"""What an agent says together leaves together, in order, and nothing waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from running import until

from sealward.events.bus.connection import BusUnavailable
from sealward.events.signing import envelope as envelopes
from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.messages.outbox import ROOM, Outbox
from sealward.node_agent.messages.turns import Turns
from sealward.protocol import codec, reports
from sealward.protocol.turn import Turn

KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)


class Post:
    """Where envelopes go; it can be closed."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.closed = False

    def take(self, body: bytes) -> None:
        """Take an envelope."""
        if self.closed:
            raise BusUnavailable("closed")
        self.bodies.append(body)

    def said(self) -> list[list[str]]:
        """Return the files that firmware reports named, by envelope; of other reports their kind."""
        return [[_named(one) for one in codec.unbundle(_read(body))] for body in self.bodies]


def _read(body: bytes) -> reports.AnyReport | reports.Bundle:
    envelope = envelopes.parse(body)
    envelopes.verify(envelope, [KEY.public_key()])
    return codec.parse(envelope)


def _named(report: object) -> str:
    return "".join(report.files).strip() if isinstance(report, reports.Firmware) else type(report).__name__


def firmware(name: object, size: int = 0) -> reports.Firmware:
    """Return a report that names one file, and is so long: what more there is are files without a name."""
    more = {" " * number: " " * 4000 for number in range(1, size // 4000 + 1)}
    return reports.Firmware(hostname="kvm1", files={str(name): "x" * min(size, 4000)} | more)


@pytest.fixture
def post() -> Post:
    """Return an open post."""
    return Post()


@pytest.fixture
def outbox(post: Post, tmp_path: Path) -> Iterator[Outbox]:
    """Yield an empty outbox, not started."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Outbox("kvm1", Keyring(KEY), post.take, Turns(ledger))
    ledger.close()


@pytest.fixture
def started(outbox: Outbox) -> Iterator[Outbox]:
    """Yield an outbox that lets nothing wait."""
    outbox.start()
    yield outbox
    outbox.stop()


def test_one_report_leaves_as_it_is_and_several_as_a_bundle(outbox: Outbox, post: Post) -> None:
    """A worker that knows no bundles understands reports that are sent singly."""
    outbox.put(firmware("a"))
    assert post.bodies == []
    outbox.flush()
    for name in "bcd":
        outbox.put(firmware(name))
    outbox.flush()
    outbox.flush()

    assert post.said() == [["a"], ["b", "c", "d"]]
    assert post.bodies[0] == codec.seal(codec.numbered(firmware("a"), Turn(1, 1)), KEY)


def test_a_bundle_is_bounded_by_count_and_by_size(outbox: Outbox, post: Post) -> None:
    """What is beyond is the next; what is larger than the room is alone."""
    for number in range(2 * reports.MOST + 1):
        outbox.put(firmware(number))
    outbox.flush()
    assert [len(one) for one in post.said()] == [reports.MOST, reports.MOST, 1]

    post.bodies.clear()
    for name, size in (("a", ROOM // 2), ("b", ROOM // 2), ("c", 2 * ROOM), ("d", 1), ("e", 1)):
        outbox.put(firmware(name, size))
    outbox.flush()
    assert post.said() == [["a"], ["b"], ["c"], ["d", "e"]]


def test_what_is_sent_by_itself_overtakes_nothing(outbox: Outbox, post: Post) -> None:
    """A registration and a heartbeat wait for nobody, and come after what was said before."""
    outbox.put(firmware("a"))
    outbox.put(firmware("b"))
    outbox.send(reports.Heartbeat(hostname="kvm1"))

    assert post.said() == [["a", "b"], ["Heartbeat"]]


def test_what_could_not_be_sent_is_lost_and_said_so_once(outbox: Outbox, post: Post) -> None:
    """The agent makes up for it by registering anew."""
    post.closed = True
    outbox.put(firmware("a"))
    outbox.flush()
    post.closed = False
    outbox.put(firmware("b"))
    outbox.flush()

    assert post.said() == [["b"]]
    assert [outbox.was_cut_off(), outbox.was_cut_off()] == [True, False]


def test_nothing_waits_until_a_long_step_is_over(started: Outbox, post: Post) -> None:
    """Somebody hangs meanwhile: what was found before leaves all the same."""
    for name in "ab":
        post.bodies.clear()
        started.put(firmware(name))
        until(lambda: bool(post.bodies))
        assert post.said() == [[name]]


def test_what_is_held_leaves_when_it_ends(started: Outbox, post: Post) -> None:
    """Nothing is forgotten at the end."""
    started.put(firmware("a"))
    started.stop()

    assert post.said() == [["a"]]
