"""Events are written in one pass, in the bytes that the fields alone would have."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from factories import ONE_OF_EACH
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import drawn

from sealward.events import values
from sealward.events.base import Event
from sealward.events.cause import Cause
from sealward.events.comparison.measurement import Finding
from sealward.events.findings.code import FINDINGS
from sealward.events.findings.sentence import sentence
from sealward.events.late import late_fields
from sealward.events.sign import SignValidated
from sealward.events.verdict_reason import VerdictReason
from sealward.events.wire import codec


def by_fields(event: Event) -> bytes:
    """Return the event's fields, one by one, and its version, as JSON with sorted keys.

    A finding with a code has its class and its sentence; a finding without a code has no code.
    """
    fields: dict[str, Any] = {
        one.name: msgspec.to_builtins(getattr(event, one.name)) for one in dataclasses.fields(event)
    }
    late = late_fields(type(event))
    fields = {name: value for name, value in fields.items() if name not in late or value is not None}
    if "findings" in fields:
        fields["findings"] = [_by_fields(one) for one in getattr(event, "findings")]  # noqa: B009 - not every event has findings
    if "policy" in fields:
        usual = {"on_loss": "hold"}.items()
        fields["policy"] = {name: one for name, one in fields["policy"].items() if (name, one) not in usual}
    return msgspec.json.encode(fields | {"version": event.version}, order="sorted")


def _by_fields(finding: Finding) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(finding)
    if finding.code is None:
        del fields["code"]
        return fields
    known = FINDINGS.get(finding.code)
    kind = "configuration" if known is None else known.kind
    return fields | {"class": kind, "message": sentence(finding)}


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda one: str(one.topic))
@settings(max_examples=3)
@given(data=st.data())
def test_an_event_has_the_bytes_that_its_fields_have(event: Event, data: st.DataObject) -> None:
    """For all values that its types allow; and the event is read back from them."""
    fields = {name: data.draw(drawn(kind)) for name, kind in values.fields_of(type(event)).items()}
    changed = dataclasses.replace(event, **fields)

    assert codec.encode(changed) == by_fields(changed)
    assert codec.encode(codec.decode(event.topic, codec.encode(changed))) == codec.encode(changed)


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_is_written_as_its_text(cause: Cause) -> None:
    """The bytes of an event have the member's value, and are read as text."""
    event = next(one for one in ONE_OF_EACH if isinstance(one, SignValidated))
    named, spelled = dataclasses.replace(event, cause=cause), dataclasses.replace(event, cause=cause.value)

    assert codec.write(named) == codec.write(spelled)
    assert codec.decode(event.topic, codec.write(named)) == spelled


@pytest.mark.parametrize("reason", VerdictReason)
def test_a_reason_is_written_as_its_text(reason: VerdictReason) -> None:
    """The bytes of an event have the member's value, and are read as text."""
    event = next(one for one in ONE_OF_EACH if isinstance(one, SignValidated))
    named = dataclasses.replace(event, reasons=(reason,))
    spelled = dataclasses.replace(event, reasons=(reason.value,))

    assert codec.write(named) == codec.write(spelled)
    assert codec.decode(event.topic, codec.write(named)) == spelled
