"""Events as CADF, checked by pycadf, OpenStack's own library."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from amounts import examples
from formats import events
from hypothesis import HealthCheck, given, settings

from sealward.formats import cadf
from sealward.formats.notice import Notice

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".venv-keystone" / "bin" / "python"
"""Keystone's environment has pycadf."""


@pytest.mark.heavy
def test_pycadf_takes_each_event() -> None:
    """With names, actions, outcomes, resources, reasons and attachments that it calls valid."""
    lines = "\n".join(cadf.render(events.golden(path)) for path in events.GOLDEN)
    done = subprocess.run(  # noqa: S603 - our own script
        [str(PYTHON), str(Path(__file__).with_name("cadf_valid.py"))],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split() == ["True"] * len(events.GOLDEN), done.stderr


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(events.ANY)
def test_any_event_is_one_line_with_what_cadf_requires(notice: Notice) -> None:
    """DSP0262, section 6.2: and a reason where the event is of the type control."""
    line = cadf.render(notice)
    event = json.loads(line)

    assert line.isascii()
    assert line.isprintable()
    assert {"id", "eventType", "eventTime", "action", "outcome", "initiator", "target", "observer"} <= set(
        event
    )
    assert ("reason" in event) is (event["eventType"] == "control")


def test_a_false_verdict_is_a_failure_by_its_reason() -> None:
    """Control, evaluate, failure."""
    path = next(one for one in events.GOLDEN if one.name == "sign.validated.v1.json")
    event = json.loads(cadf.render(events.golden(path)))

    assert (event["eventType"], event["action"], event["outcome"]) == ("control", "evaluate", "failure")
    assert event["reason"]["reasonCode"] == "measurement-differs"
