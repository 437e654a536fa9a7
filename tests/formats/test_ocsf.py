"""Events have the form of OCSF 1.6.0, also with the texts of a hostile domain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from amounts import examples
from formats import events
from formats.ocsf_schema import faults
from hypothesis import HealthCheck, given, settings

from sealward.formats import ocsf
from sealward.formats.notice import Notice


def rendered(notice: Notice) -> dict[str, Any]:
    """Return an event in OCSF."""
    found: dict[str, Any] = json.loads(ocsf.render(notice))
    return found


@pytest.mark.parametrize("path", events.GOLDEN, ids=lambda path: path.stem)
def test_each_event_is_as_the_schema_says(path: Path) -> None:
    """Class, category, activity, required attributes, types and enumerations."""
    assert faults(rendered(events.golden(path))) == []


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(events.ANY)
def test_any_event_is_as_the_schema_says_on_one_line_of_ascii(notice: Notice) -> None:
    """With any values."""
    line = ocsf.render(notice)

    assert faults(json.loads(line)) == []
    assert line.isascii()
    assert line.isprintable()


def test_the_schema_refuses_what_is_not_of_it() -> None:
    """The comparison of these tests can fail."""
    event = rendered(events.golden(events.GOLDEN[0]))

    assert faults(event | {"severity_id": 77})
    assert faults(event | {"time": "yesterday"})
    assert faults(event | {"colour": "red"})
    assert faults({name: value for name, value in event.items() if name != "metadata"})


def test_a_false_verdict_opens_the_finding_that_the_next_true_closes() -> None:
    """By the same uid: a SIEM keeps one finding for a server."""
    path = next(one for one in events.GOLDEN if one.name == "sign.validated.v1.json")
    red, green = rendered(events.golden(path)), rendered(events.changed(path, is_valid="true", findings=[]))

    assert (red["class_uid"], red["activity_id"], red["severity_id"]) == (2004, 1, 4)
    assert (green["activity_id"], green["status"], green["is_alert"]) == (3, "Resolved", False)
    assert red["finding_info"]["uid"] == green["finding_info"]["uid"]
    assert red["evidences"][0]["data"]["xpath"] == "/domain/os/initrd"


def test_a_node_that_returns_closes_the_finding_that_it_was_lost() -> None:
    """So does a settled claim."""
    by = {path.name: path for path in events.GOLDEN}
    for opened, closed in (("node.lost", "node.returned"), ("sign.claimed", "sign.claim-settled")):
        first, last = (rendered(events.golden(by[f"{one}.v1.json"])) for one in (opened, closed))
        assert first["finding_info"]["uid"] == last["finding_info"]["uid"]
        assert (first["activity_id"], last["activity_id"]) == (1, 3)


def test_an_order_is_api_activity_of_its_user() -> None:
    """With the id in Keystone, where there is one."""
    path = next(one for one in events.GOLDEN if one.name == "sign.created.v1.origin.json")
    order = rendered(events.golden(path))

    assert (order["class_uid"], order["activity_id"]) == (6003, 1)
    assert order["actor"]["user"] == {"name": "admin", "uid": "u-1"}
    assert order["api"]["operation"] == "sign.created"
