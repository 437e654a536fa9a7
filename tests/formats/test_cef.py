"""Events as lines of CEF: what a hostile domain puts into a value stays in that value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amounts import examples
from formats import events
from hypothesis import HealthCheck, given, settings

from sealward.formats import cef
from sealward.formats.notice import Notice


def parsed(line: str) -> tuple[list[str], dict[str, str]]:
    """Return the header and the extension of a line, read as the standard says."""
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    header = re.findall(r"((?:[^|\\]|\\.)*)\|", line)[:7]
    extension = line[sum(len(one) + 1 for one in header) :]
    pairs = re.findall(r"(\w+)=((?:[^=\\]|\\.)*)(?:(?= \w+=)|$)", extension)
    assert len(parts) == 8
    return [re.sub(r"\\(.)", r"\1", one) for one in header], {
        key: re.sub(r"\\(.)", r"\1", value) for key, value in pairs
    }


@pytest.mark.parametrize("path", events.GOLDEN, ids=lambda path: path.stem)
def test_each_event_is_a_line(path: Path) -> None:
    """Its header names the event, its extension who, where and what."""
    notice = events.golden(path)
    header, extension = parsed(cef.render(notice))

    assert header[:3] == ["CEF:0", "Sealward", "Sealward"]
    assert header[4] == notice.topic
    assert 0 <= int(header[6]) <= 10
    assert extension["suser"] == notice.actor
    assert extension["cn1"] == "7"


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(events.ANY)
def test_any_event_is_one_line_with_the_same_keys(notice: Notice) -> None:
    """No value can begin another line, another part or another key."""
    line = cef.render(notice)
    _, extension = parsed(line)
    known = {
        "rt",
        "externalId",
        "act",
        "suser",
        "dvchost",
        "duid",
        "dhost",
        "outcome",
        "reason",
        "msg",
        "cn1",
    }
    labelled = {f"{key}{suffix}" for key in ("cs1", "cs2", "cs3", "cs4", "cn1") for suffix in ("", "Label")}

    assert line.isprintable() or all(one.isprintable() or one not in "\r\n\x00\x1b\x85" for one in line)
    assert "\n" not in line
    assert set(extension) <= known | labelled
    assert all(len(one.encode()) <= 1023 for one in extension.values())


def test_a_hostile_name_stays_in_its_value() -> None:
    """Pipes, equals signs, backslashes and new lines."""
    path = next(one for one in events.GOLDEN if one.name == "sign.created.v1.json")
    evil = "a|b=c \\ act=allow"
    _, extension = parsed(cef.render(events.changed(path, instance_name=evil)))

    assert extension["dhost"] == evil
    assert extension["act"] == "create"
