"""The log of a process: ids on each line, one line for each request, no secret in any."""

from __future__ import annotations

import io
import json
import logging
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from door import ONE_NODE
from factories import NOON
from programs import TOKEN, started
from running import WEB, until

from sealward import logs
from sealward.commands.writer.handler import Handler
from sealward.intake.orders import Orders


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Return where messages go; the root logger is put back at the end."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = before


def lines(text: str) -> list[dict[str, Any]]:
    """Return JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_message_says_what_it_is_about(stream: io.StringIO) -> None:
    """As long as it is about that, and no longer."""
    logs.set_up("json", "info", stream)
    log = logging.getLogger("sealward.tests")
    with logs.about(request_id="req-1", actor="user:alice", task_id=None):
        log.info("inside %d", 1)
        with logs.about(task_id="t-1"):
            log.warning("deeper", extra={"fields": {"route": "/x"}})
    log.info("outside")
    inside, deeper, outside = lines(stream.getvalue())

    assert inside | {"time": ""} == {
        "time": "",
        "level": "info",
        "logger": "sealward.tests",
        "message": "inside 1",
        "request_id": "req-1",
        "actor": "user:alice",
    }
    assert (deeper["task_id"], deeper["actor"], deeper["route"]) == ("t-1", "user:alice", "/x")
    assert "actor" not in outside


def test_a_failure_is_one_line(stream: io.StringIO) -> None:
    """With its traceback as text inside."""
    logs.set_up("json", "error", stream)
    try:
        int("broken")
    except ValueError:
        logging.getLogger("sealward.tests").exception("failed")
    logging.getLogger("sealward.tests").warning("not said")
    (line,) = lines(stream.getvalue())

    assert "ValueError: invalid literal" in line["exception"]


def test_lines_for_eyes_have_the_ids_behind(stream: io.StringIO) -> None:
    """In brackets; a line without ids has none."""
    logs.set_up("console", "info", stream)
    with logs.about(request_id="req-1"):
        logging.getLogger("x").info("hello")
    logging.getLogger("x").info("bye")
    first, second = stream.getvalue().splitlines()

    assert first.endswith("INFO x: hello [request_id=req-1]")
    assert second.endswith("INFO x: bye")


def test_an_order_that_is_worked_on_is_named(stream: io.StringIO) -> None:
    """A worker has no request; it has the task and who asked."""
    logs.set_up("json", "info", stream)
    orders = Orders(cast("Handler", None), ONE_NODE, lambda: NOON)
    headers = {"id": "t-9", "task": "sealward.node_action", "expires": "2026-01-01T00:00:00+00:00"}
    orders.take(b'[[1, "activate"], {}, {}]', headers)
    (line,) = lines(stream.getvalue())

    assert (line["task_id"], line["actor"]) == ("t-9", "user:celery")


def test_every_request_is_a_line_with_its_ids(tmp_path: Path) -> None:
    """Method, route, status, duration, request, actor, task; no token, no query, no path as it was sent."""
    sent = f"req-{uuid.uuid4()}"
    with started(tmp_path, SEALWARD_LOG="json") as process:
        status, _ = process.ask("POST", "/v1/sign", {"server_id": WEB})
        assert status == 201
        process.ask("GET", "/v1/sign/made-up-secret?query=secret-value")
        process.ask("GET", "/v1/sign", token="wrong-secret")
        named = urllib.request.Request(process.url, headers={"X-Openstack-Request-Id": sent})  # noqa: S310 - ours
        urllib.request.urlopen(named, timeout=10).close()  # noqa: S310 - as above
        _, history = process.ask("GET", f"/v1/sign/{WEB}/events")
        until(lambda: "/v1/sign/{server_id}/events" in process.output("err"), 10)
    text = process.output("err")
    access = [one for one in lines(text) if one["logger"] == "sealward.access"]
    (posted,) = [one for one in access if one["method"] == "POST"]
    (order,) = [one for one in history["events"] if one["type"] == "sign.created"]

    assert (posted["route"], posted["status"], posted["actor"]) == ("/v1/sign", 201, "user:admin")
    assert (posted["request_id"], posted["task_id"]) == (order["request_id"], order["task_id"])
    assert 0 < posted["seconds"] < 10
    assert [(one["route"], one["status"]) for one in access[-4:]] == [
        ("/v1/sign/{server_id}", 400),
        ("/v1/sign", 401),
        ("/", 200),
        ("/v1/sign/{server_id}/events", 200),
    ]
    assert [one["route"] for one in access if one.get("global_request_id") == sent] == ["/"]
    assert not any(secret in text for secret in (TOKEN, "secret"))
