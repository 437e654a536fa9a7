"""Events as outside systems get them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import jsonschema
import pytest
from cloudevents.core.formats.json import JSONFormat
from factories import ONE_OF_EACH, event, recorded, stored
from hypothesis import given
from hypothesis import strategies as st

from sealward.events.base import Recorded, Stored
from sealward.events.sign import SignRevoked
from sealward.events.wire import cloudevent, codec
from sealward.events.wire.codec import EVENTS, EventFromNewerVersion, EventRefused

EACH = recorded(ONE_OF_EACH)
GOLDEN = Path(__file__).parents[1] / "assets" / "events"
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("one", EACH, ids=lambda one: str(one.event.topic))
def test_every_event_survives_the_wire(one: Recorded) -> None:
    """parse(render(x)) is x, with the attributes that CloudEvents 1.0 requires."""
    fields = json.loads(cloudevent.render(one))

    assert cloudevent.parse(cloudevent.render(one)) == one
    assert fields["specversion"] == "1.0"
    assert fields["id"] == str(one.id)
    assert fields["type"] == f"io.sealward.{one.event.topic}"
    assert fields["source"]
    assert fields["time"].endswith("+00:00")


@pytest.mark.parametrize("one", EACH, ids=lambda one: str(one.event.topic))
def test_the_stock_package_reads_it(one: Recorded) -> None:
    """`cloudevents`, as any subscriber may use it."""
    read = JSONFormat().read(None, cloudevent.render(one))

    assert (read.get_specversion(), read.get_id()) == ("1.0", str(one.id))
    assert read.get_type() == f"io.sealward.{one.event.topic}"
    assert read.get_time() == one.event.timestamp
    assert read.get_dataschema() == f"urn:sealward:event:{one.event.topic}:{one.event.version}"
    assert read.get_extension("sequence") == f"{one.position:020d}"
    data = read.get_data()
    assert isinstance(data, dict)
    assert data["actor"] == one.event.actor


@pytest.mark.parametrize("one", EACH, ids=lambda one: str(one.event.topic))
def test_it_is_as_its_published_schema_says(one: Recorded) -> None:
    """Valid as it is; not without its data, nor with a field of another type."""
    schema = json.loads((SCHEMAS / f"{one.event.topic}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    fields = json.loads(cloudevent.render(one))

    jsonschema.Draft202012Validator.check_schema(schema)
    validator.validate(fields)
    assert not validator.is_valid({name: value for name, value in fields.items() if name != "data"})
    assert not validator.is_valid(fields | {"data": fields["data"] | {"actor": 1}})
    assert not validator.is_valid(fields | {"data": fields["data"] | {"version": 99}})


def test_every_event_has_its_schema_published() -> None:
    """`make schemas` writes them."""
    published = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}

    assert published == {topic: cloudevent.schema_of(topic) for topic in EVENTS}


def test_sequences_sort_as_numbers_do() -> None:
    """A subscriber can compare them as texts."""
    sequences = [
        json.loads(cloudevent.render(recorded([ONE_OF_EACH[0]], after)[0]))["sequence"]
        for after in (8, 9, 99, 10**12)
    ]

    assert sequences == sorted(sequences)


def test_the_key_tells_what_happened_and_on_which_node() -> None:
    """A topic exchange routes by it."""
    assert [cloudevent.message(one).routing_key for one in stored(ONE_OF_EACH[:1])] == ["sign.created.node.2"]


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: str(path.name))
def test_what_stands_in_the_log_is_sent_as_it_is(path: Path) -> None:
    """The bytes that any version wrote are those of the event that this version reads."""
    topic, state = path.stem.rsplit(".v", 1)[0], path.read_bytes().strip()
    one = Stored(7, uuid.UUID(int=1), 3, topic, state)
    event = codec.decode(topic, state)
    sent = cloudevent.message(one)

    assert sent.body == cloudevent.render(codec.read(one))
    assert json.loads(sent.body)["data"] == json.loads(codec.encode(event))
    assert (sent.position, sent.id, sent.task_id) == (7, str(one.id), event.task_id)
    assert (sent.id, sent.sent_at) == (str(codec.read(one).id), int(event.timestamp.timestamp()))


def test_what_an_older_version_wrote_is_sent_as_this_one_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber reads one version of each topic."""
    monkeypatch.setattr(SignRevoked, "version", 2)
    monkeypatch.setitem(codec.UPCASTS, ("sign.revoked", 1), lambda fields: {**fields, "sign_id": 99})
    state = codec.encode(event(SignRevoked)).replace(b'"version":2', b'"version":1')
    data = json.loads(cloudevent.message(Stored(1, uuid.UUID(int=1), 1, "sign.revoked", state)).body)["data"]

    assert (data["version"], data["sign_id"]) == (2, 99)


@pytest.mark.parametrize(
    ("topic", "state", "refusal"),
    [
        ("sign.sealed", b"garbage", EventRefused),
        ("sign.sealed", b'{"version":1}', EventRefused),
        ("sign.vanished", b'{"version":1,"timestamp":"2026-01-02T12:00:00Z"}', EventRefused),
        ("sign.sealed", b'{"version":99,"timestamp":"2026-01-02T12:00:00Z"}', EventFromNewerVersion),
    ],
)
def test_what_cannot_be_read_is_not_sent(topic: str, state: bytes, refusal: type[Exception]) -> None:
    """Neither garbage nor what a newer version wrote."""
    with pytest.raises(refusal):
        cloudevent.message(Stored(1, uuid.UUID(int=1), 1, topic, state))


@given(st.binary(max_size=200))
def test_garbage_is_refused(body: bytes) -> None:
    """For each event."""
    with pytest.raises(EventRefused):
        cloudevent.parse(body)
