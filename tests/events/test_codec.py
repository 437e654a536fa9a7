"""The wire form of events: what was written once is read for ever."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from factories import ONE_OF_EACH

from sealward.events.base import Event, Origin, Recorded, sign_stream
from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.policy import OnDoubt, OnLoss, Policy, Unsigned
from sealward.events.sign import Grounds
from sealward.events.wire import codec
from sealward.events.wire.codec import EventFromNewerVersion, EventRefused, decode, encode

GOLDEN = Path(__file__).parent.parent / "assets" / "events"


def test_there_is_an_example_of_every_event() -> None:
    """The examples below leave no event out."""
    assert set(codec.EVENTS) == {one.topic for one in ONE_OF_EACH}


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda one: one.topic)
def test_an_event_survives_its_wire_form(event: Event) -> None:
    """decode(encode(x)) is x."""
    assert event == decode(event.topic, encode(event))


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda one: one.topic)
def test_the_golden_bytes_still_stand(event: Event) -> None:
    """An event is written as the golden file of its version, byte for byte."""
    golden = GOLDEN / f"{event.topic}.v{event.version}.json"

    assert golden.read_bytes().rstrip(b"\n") == encode(event)


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_every_golden_file_is_read(golden: Path) -> None:
    """Events of every version ever written decode into today's classes."""
    topic = golden.stem.rsplit(".v", 1)[0]

    assert isinstance(decode(topic, golden.read_bytes()), codec.EVENTS[topic])


def test_an_origin_is_a_field_more() -> None:
    """Written where there is one, golden too; an event without one has the bytes that it always had."""
    origin = Origin(user_id="u-1", project_id="p-1")
    event = replace(ONE_OF_EACH[0], origin=origin)

    assert (GOLDEN / "sign.created.v1.origin.json").read_bytes().rstrip(b"\n") == encode(event)
    assert event == decode(event.topic, encode(event))
    assert b"origin" not in encode(ONE_OF_EACH[0])


def test_whether_a_server_runs_is_a_field_more() -> None:
    """Written where the node says it, golden too; an event of an older agent has the bytes that it had."""
    (event,) = (one for one in ONE_OF_EACH if isinstance(one, InstanceAppeared))
    running = replace(event, running=True)

    assert (GOLDEN / "instance.appeared.v1.running.json").read_bytes().rstrip(b"\n") == encode(running)
    assert running == decode(running.topic, encode(running))
    assert b"running" not in encode(event)


def test_when_a_server_left_is_an_addition() -> None:
    """Golden too; an older event has the bytes that it had."""
    (event,) = (one for one in ONE_OF_EACH if isinstance(one, InstanceLeft))
    dated = replace(event, taken_at=event.timestamp)

    assert (GOLDEN / "instance.left.v1.taken-at.json").read_bytes().rstrip(b"\n") == encode(dated)
    assert dated == decode(dated.topic, encode(dated))
    assert b"taken_at" not in encode(event)


@pytest.mark.parametrize(
    ("topic", "name", "changes"),
    [
        ("sign.moved", "grounds", {"grounds": Grounds.ANNOUNCED}),
        ("instance.appeared", "leaving", {"running": True, "leaving": True}),
        ("sign.validated", "fingerprint", {"fingerprint": "cd" * 32}),
        (
            "node.policy-set",
            "on-loss",
            {"policy": Policy(on_start=OnDoubt.REFUSE, unsigned=Unsigned.REFUSE, on_loss=OnLoss.FOLLOW)},
        ),
    ],
)
def test_what_is_said_of_moves_is_an_addition(topic: str, name: str, changes: dict[str, object]) -> None:
    """Golden too; an event without it has the bytes that it always had."""
    (event,) = (one for one in ONE_OF_EACH if one.topic == topic)
    more = replace(event, **changes)  # type: ignore[arg-type]  # replace() checks the names

    assert (GOLDEN / f"{topic}.v1.{name}.json").read_bytes().rstrip(b"\n") == encode(more)
    assert more == decode(topic, encode(more))
    assert name.replace("-", "_").encode() not in encode(event)


def test_old_fields_are_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of version 1 passes every step up to the current version."""
    (event,) = (one for one in ONE_OF_EACH if one.topic == "node.activated")
    old = json.loads(encode(event))
    old["name"] = old.pop("hostname")
    monkeypatch.setattr(codec.EVENTS["node.activated"], "version", 3)
    steps: dict[tuple[str, int], codec.Upcast] = {
        ("node.activated", 1): lambda fields: {**fields, "host": fields.pop("name")},
        ("node.activated", 2): lambda fields: {**fields, "hostname": fields.pop("host")},
    }

    assert event == decode("node.activated", json.dumps(old).encode(), steps)


def test_an_event_of_a_newer_version_is_refused() -> None:
    """A process that is older than the writer stops instead of guessing."""
    newer = json.loads(encode(ONE_OF_EACH[0])) | {"version": 2}

    with pytest.raises(EventFromNewerVersion):
        decode("sign.created", json.dumps(newer).encode())


@pytest.mark.parametrize("state", [b"", b"7", b"{}", b"\xff", b'{"version":1}', b'{"version":"1"}'])
def test_what_is_no_event_is_refused(state: bytes) -> None:
    """Garbage is refused with the one error of this module."""
    with pytest.raises(EventRefused):
        decode("sign.created", state)
    with pytest.raises(EventRefused):
        decode("sign.unheard-of", state)


def test_an_event_has_one_id_wherever_it_is_delivered() -> None:
    """The id follows from stream and version alone."""
    stream = sign_stream("s")
    first = Recorded(1, stream, 1, ONE_OF_EACH[0])

    assert first.id == Recorded(9, stream, 1, ONE_OF_EACH[0]).id
    assert first.id != Recorded(1, stream, 2, ONE_OF_EACH[0]).id
