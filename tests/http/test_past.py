"""What was known then: `at` on signs, `since` on the feed, `replay --until`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from programs import sealward, started
from running import DATABASE, WEB, Running, until


def now() -> str:
    """Return the time, after letting the clock go on, so that no event is of this very moment."""
    time.sleep(0.002)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.002)
    return moment


def known(sealward: Running, at: str, path: str = "") -> dict[str, Any]:
    """Return what was known of WEB at a moment, nothing where that was nothing."""
    answer = sealward.ask("GET", f"/v1/sign/{WEB}{path}?at={quote(at)}")
    return {} if answer.status == 404 else answer.json


def test_a_sign_as_it_was(sealward: Running) -> None:
    """Before the sign, true, false, revoked: each moment has its own answer, in any order of requests."""
    before = now()
    sealward.sign()
    good = now()
    sealward.fleet.replace(WEB, f"/{WEB}/disk", f"/{WEB}/other")
    until(lambda: sealward.is_valid(WEB) == "false")
    bad = now()
    sealward.ask("DELETE", f"/v1/sign/{WEB}")
    after = now()

    for _ in range(2):
        assert known(sealward, before) == {}
        assert known(sealward, bad)["sign"]["is_valid"] == "false"
        assert known(sealward, good)["sign"]["is_valid"] == "true"
        assert known(sealward, after) == {}
    assert known(sealward, good, "/verdict")["verdict"]["reasons"] == []
    assert known(sealward, bad, "/verdict")["verdict"]["findings"]
    assert known(sealward, good, "/envelope")["payloadType"]


def test_the_list_as_it_was(sealward: Running) -> None:
    """With its filters."""
    sealward.sign(WEB)
    first = quote(now())
    sealward.sign(DATABASE)
    second = quote(now())
    sealward.ask("DELETE", f"/v1/sign/{WEB}")

    def servers(query: str) -> list[str]:
        return [one["server_id"] for one in sealward.ask("GET", f"/v1/sign?{query}").json["signs"]]

    assert servers(f"at={first}") == [WEB]
    assert servers(f"at={second}") == [WEB, DATABASE]
    assert servers(f"at={second}&is_valid=true&offset=1") == [DATABASE]
    assert servers(f"at={second}&is_valid=false") == []
    assert servers("") == [DATABASE]


def test_the_past_is_read_at_its_own_time(sealward: Running) -> None:
    """A true that has run out long after is still what was known; one that had run out then was not."""
    sealward.sign()
    fresh_until = sealward.ask("GET", f"/v1/sign/{WEB}/verdict").json["verdict"]["fresh_until"]
    later = datetime.strptime(fresh_until, "%a, %d %b %Y %H:%M:%S GMT").replace(year=2099, tzinfo=UTC)

    assert known(sealward, later.isoformat())["sign"]["is_valid"] == "unknown"


@pytest.mark.parametrize("text", ["yesterday", "2026-01-02", "2026-01-02T03:04:05", "4711", ""])
def test_a_time_without_its_zone_is_refused(sealward: Running, text: str) -> None:
    """400 with what to give."""
    for path in (f"/v1/sign/{WEB}?at=", "/v1/sign?at=", "/v1/events?since="):
        answer = sealward.ask("GET", path + text)
        assert (answer.status, answer.json["error"]["reason"]) == (400, "parameter.bad-time")


def test_the_feed_from_a_time_on(sealward: Running) -> None:
    """Nothing older, everything younger."""
    sealward.sign(WEB)
    between = quote(now())
    sealward.sign(DATABASE)
    events = sealward.ask("GET", f"/v1/events?since={between}&type=sign.created").json["events"]

    assert [one["data"]["server_id"] for one in events] == [DATABASE]


def test_replay_until_prints_what_was_known_then(tmp_path: Path) -> None:
    """By time and by position; nothing is changed."""
    with started(tmp_path) as one:
        one.ask("POST", "/v1/sign", {"server_id": WEB})
        moment = now()
        one.ask("DELETE", f"/v1/sign/{WEB}")
        by_time = sealward(tmp_path, "replay", "--until", moment)
        position = json.loads(by_time.stderr.split("position ")[1].split(",")[0])
        by_position = sealward(tmp_path, "replay", "--until", str(position))
        empty = sealward(tmp_path, "replay", "--until", "0")
        refused = sealward(tmp_path, "replay", "--until", "yesterday")
        assert one.ask("GET", f"/v1/sign/{WEB}")[0] == 404

    assert (by_time.returncode, by_position.returncode, empty.returncode) == (0, 0, 0)
    assert json.loads(by_time.stdout)["is_valid"] == "true"
    assert json.loads(by_position.stdout)["server_id"] == WEB
    assert empty.stdout == ""
    assert refused.returncode == 2
    assert "--until" in refused.stderr
