"""Events as outside systems get them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from cloudevents.core.formats.json import JSONFormat
from factories import ONE_OF_EACH, recorded
from hypothesis import given
from hypothesis import strategies as st

from sealward.events import cloudevent
from sealward.events.base import Recorded
from sealward.events.codec import EVENTS, EventRefused

EACH = recorded(ONE_OF_EACH)
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
    assert [cloudevent.routing_key(one) for one in EACH[:1]] == ["sign.created.node.2"]


@given(st.binary(max_size=200))
def test_garbage_is_refused(body: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(EventRefused):
        cloudevent.parse(body)
