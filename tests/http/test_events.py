"""The feed: pages of JSON and server-sent events, gap-free."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from running import ADMIN, DATABASE, WEB, Running, until

from sealward.control.role import Role
from sealward.events.base import Recorded
from sealward.events.wire import cloudevent
from sealward.http.log import event


def whole(sealward: Running) -> list[Recorded]:
    """Return the log."""
    return sealward.embedded.control_plane.store.follow(0, 100_000)


@contextlib.contextmanager
def stream(
    sealward: Running, path: str = "/v1/events", last: str | None = None, token: str = ADMIN
) -> Iterator[Iterator[str]]:
    """Open a stream of server-sent events; give its lines."""
    headers = {"X-Auth-Token": token, "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = last
    connection = http.client.HTTPConnection(urlsplit(sealward.url).netloc, timeout=10)
    for _ in range(50):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status not in {429, 503}:
            break
        answer.read()
        time.sleep(0.1)  # as a client does that is told to try again
    try:
        assert answer.status == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield (line.decode().rstrip("\n") for line in iter(answer.readline, b""))
    finally:
        answer.close()
        connection.close()


def ids(lines: Iterator[str], count: int) -> list[int]:
    """Return the ids of the next messages."""
    found: list[int] = []
    for line in lines:
        if line.startswith("id: "):
            found.append(int(line[4:]))
            if len(found) == count:
                break
    return found


def test_pages_put_together_are_the_log(sealward: Running) -> None:
    """`next` goes on where the page ended."""
    sealward.sign()
    position, found = 0, []
    while True:
        page = sealward.ask("GET", f"/v1/events?after={position}&limit=2").json
        found += [int(one["sequence"]) for one in page["events"]]
        if not page["events"]:
            break
        position = page["next"]

    assert found == [one.position for one in whole(sealward)]


def test_events_are_cloudevents(sealward: Running) -> None:
    """The same as on the bus."""
    sealward.sign()
    page = sealward.ask("GET", "/v1/events?type=sign.sealed").json["events"]
    (recorded,) = [one for one in whole(sealward) if one.event.topic == "sign.sealed"]

    assert [one["id"] for one in page] == [str(recorded.id)]
    assert page[0]["type"] == f"{cloudevent.TYPE_PREFIX}sign.sealed"


def test_filters(sealward: Running) -> None:
    """By type, server and node; what does not match is looked past."""
    sealward.sign(WEB)
    sealward.sign(DATABASE)

    def types(query: str) -> list[str]:
        events = sealward.ask("GET", f"/v1/events?{query}").json["events"]
        return [one["type"].removeprefix(cloudevent.TYPE_PREFIX) for one in events]

    assert types("type=sign.created") == ["sign.created"] * 2
    assert types(f"server_id={WEB}&type=sign.created") == ["sign.created"]
    assert types("node_id=7") == []


@pytest.mark.parametrize("query", ["type=nothing", "server_id=x", "after=-1", "limit=many", "offset=1"])
def test_a_bad_filter_is_refused(sealward: Running, query: str) -> None:
    """400, as everywhere."""
    assert sealward.ask("GET", f"/v1/events?{query}").status == 400


def test_a_stream_tells_what_was_and_what_comes(sealward: Running) -> None:
    """At once, in order."""
    before = [one.position for one in whole(sealward)]
    with stream(sealward) as lines:
        assert ids(lines, len(before)) == before
        sealward.sign()
        until(lambda: len(whole(sealward)) >= len(before) + 3)
        assert ids(lines, 3) == [one.position for one in whole(sealward)][len(before) : len(before) + 3]


def test_a_stream_resumes_where_it_was_cut(sealward: Running) -> None:
    """Last-Event-ID: nothing missed, nothing twice."""
    sealward.sign()
    log = [one.position for one in whole(sealward)]
    found: list[int] = []
    while len(found) < len(log):
        with stream(sealward, last=str(found[-1]) if found else None) as lines:
            found += ids(lines, 1)

    assert found == log


def test_a_stream_lives_no_longer_than_its_token(sealward: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is checked again and again; the stream of a revoked one ends."""
    monkeypatch.setattr(event, "CHECK", 0.1)
    tokens = sealward.embedded.control_plane.tokens
    with stream(sealward, token=tokens.issue("leaver", Role.AUDITOR)) as lines:
        began = time.monotonic()
        assert next(lines)
        until(lambda: time.monotonic() - began > 0.5)  # checked and found good, several times
        sealward.sign()
        assert any(line == "event: io.sealward.sign.sealed" for line in lines)
        tokens.revoke("leaver")

        for _ in lines:
            assert time.monotonic() - began < 8, "it has no end"


def test_streams_are_bounded_and_given_back(sealward: Running) -> None:
    """More than six of one token are refused; the API goes on; closed ones make room."""
    with contextlib.ExitStack() as opened:
        for _ in range(6):
            opened.enter_context(stream(sealward))
        refused = sealward.ask("GET", "/v1/events", headers={"Accept": "text/event-stream"})
        assert (refused.status, refused.json["error"]["reason"]) == (429, "events.too-many-streams")
        assert int(refused.headers["retry-after"]) > 0
        assert sealward.sign()["is_valid"] == "true"

    with stream(sealward) as lines:
        assert next(lines)
