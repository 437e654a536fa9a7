"""Events as outside systems get them."""

from __future__ import annotations

import json

import pytest
from factories import ONE_OF_EACH, recorded
from hypothesis import given
from hypothesis import strategies as st

from sealward.events import cloudevent
from sealward.events.base import Recorded
from sealward.events.codec import EventRefused

EACH = recorded(ONE_OF_EACH)


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
