"""Stock Celery 5.7 and Flower as clients: results, failures, events, orders."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from running import BASTION, BATCH, until

from sealward.events.bus.dead_letters import DeadLetters
from sealward.node_agent.hypervisor.fleet import sample_uri
from stack.processes import end, free_port, start
from stack.sealward import Stack

CELERY = [sys.executable, "-m", "celery"]


@pytest.fixture
def app(stack: Stack) -> Iterator[Celery]:
    """Yield a client as an outside system has it: a broker, and a database that it only reads."""
    url = stack.postgres.url().replace("postgresql://", "db+postgresql+psycopg://")
    made = Celery("outside", broker=stack.rabbitmq.url, backend=f"{url}&options=-csearch_path%3Dmain")
    yield made
    made.backend.ResultSession().close()
    made.backend.session_manager.get_engine(made.backend.url).dispose()
    made.close()


def ordered(stack: Stack, method: str, path: str, body: object = None) -> str:
    """Make a call that is a task; return its id."""
    status, answer = stack.ask(method, path, body)
    assert status in (200, 202), answer
    return str(answer["task_id"])


def activated(stack: Stack) -> str:
    """Order validation on; return the task's id."""
    return ordered(stack, "POST", "/v1/sign/node/1/action", {"action": "activate"})


def test_the_result_of_an_action(stack: Stack, app: Celery) -> None:
    """`AsyncResult(task_id)` has state, result, name and times of what the API gave out."""
    result = app.AsyncResult(activated(stack))
    assert result.get(timeout=20)["cause"] == "node-activated"
    assert (result.state, result.successful()) == ("SUCCESS", True)
    assert abs(datetime.now(UTC).replace(tzinfo=None) - result.date_done) < timedelta(minutes=1)
    assert app.AsyncResult(str(uuid.uuid4())).state == "PENDING"


def test_a_failure_and_a_revoked_task(stack: Stack, app: Celery, tmp_path: Path) -> None:
    """What could not be measured raises with its reason; what was superseded is revoked."""
    stack.ask("DELETE", f"/v1/sign/{BATCH}")
    stack.ask("POST", "/v1/sign", {"server_id": BATCH})
    stack.kill("agent-1")
    failing = app.AsyncResult(ordered(stack, "POST", f"/v1/sign/{BATCH}/validate"))
    first = app.AsyncResult(activated(stack))
    second = app.AsyncResult(activated(stack))
    until(lambda: first.state == "REVOKED", 10)
    assert (failing.state, second.state) == ("PENDING", "PENDING")

    with without(BATCH, stack, tmp_path):
        with pytest.raises(Exception, match="domain-not-found") as failure:
            failing.get(timeout=20)
        assert type(failure.value).__name__ == "NotMeasured"
        assert failing.state == "FAILURE"
        assert "domain-not-found, node 1" in str(failing.traceback).replace('["', "").replace('"]', "")
        with pytest.raises(TaskRevokedError):
            first.get(timeout=20)
        assert second.get(timeout=20)["cause"] == "node-activated"


@contextlib.contextmanager
def without(server_id: str, stack: Stack, folder: Path) -> Iterator[None]:
    """Let the agent that was killed come back to a node that has one server less, and then to all."""
    fleet = Path(sample_uri().removeprefix("test://")).read_text(encoding="utf-8")
    (folder / "fleet.xml").write_text(fleet.replace(server_id, str(uuid.uuid4())), encoding="utf-8")
    stack.settings["SEALWARD_LIBVIRT_URI"] = f"test://{folder}/fleet.xml"
    stack.start_process("agent-1")
    try:
        yield
    finally:
        del stack.settings["SEALWARD_LIBVIRT_URI"]
        stack.kill("agent-1")
        stack.start_process("agent-1")


def test_an_order_of_a_celery_client_is_a_command_like_any_other(stack: Stack, app: Celery) -> None:
    """`send_task` under an id of its own: obeyed once however often it comes, and in the log as events."""
    task_id = str(uuid.uuid4())
    for _ in range(3):
        kwargs = {"node_id": 1, "action": "activate"}
        app.send_task("sealward.node_action", kwargs=kwargs, task_id=task_id, queue="sealward.orders")
    assert app.AsyncResult(task_id).get(timeout=20)["cause"] == "node-activated"
    _, page = stack.ask("GET", "/v1/events?type=node.activated&limit=1000")
    mine = [one for one in page["events"] if one["data"]["task_id"] == task_id]
    assert [one["data"]["actor"] for one in mine] == ["user:celery"]
    assert stack.ask("GET", f"/v1/task/{task_id}")[1]["task"]["state"] == "SUCCESS"


@pytest.mark.parametrize(
    ("task", "kwargs", "reason"),
    [
        ("sealward.shutdown", {"node_id": 1, "action": "activate"}, "order.unknown-task"),
        ("sealward.node_action", {"node_id": 999, "action": "activate"}, "node.not-found"),
        ("sealward.node_action", {"node_id": 1, "action": "explode"}, "order.malformed"),
        ("sealward.node_action", {"node_id": 1, "action": "activate", "more": 1}, "order.malformed"),
    ],
)
def test_an_order_that_means_nothing_is_a_dead_letter(
    stack: Stack, app: Celery, task: str, kwargs: dict[str, Any], reason: str
) -> None:
    """With the reason; it changes nothing."""
    app.send_task(task, kwargs=kwargs, queue="sealward.orders")
    with DeadLetters(stack.rabbitmq.url) as letters:
        until(lambda: [one.reason for one in letters.all()] == [reason], 15)
        letters.drop(lambda _: True)


def test_an_order_that_has_expired_is_not_obeyed(stack: Stack, app: Celery) -> None:
    """Celery's `expires`."""
    expired = app.send_task(
        "sealward.node_action",
        kwargs={"node_id": 1, "action": "activate"},
        queue="sealward.orders",
        expires=datetime.now(UTC) - timedelta(seconds=5),
    )
    after = app.send_task("sealward.node_action", args=[1, "activate"], queue="sealward.orders")
    assert app.AsyncResult(after.id).get(timeout=20)
    assert stack.ask("GET", f"/v1/task/{expired.id}")[0] == 404


def test_celery_events_show_nodes_and_tasks(stack: Stack, tmp_path: Path) -> None:
    """`celery events --dump`: heartbeats of the node, its tasks with name, state and runtime."""
    log = tmp_path / "dump"
    dump = start([*CELERY, "-b", stack.rabbitmq.url, "events", "--dump"], log)
    try:
        until(lambda: "heartbeat" in log.read_text(), 30)
        task_id = activated(stack)
        until(lambda: "task succeeded" in log.read_text() and task_id in log.read_text(), 20)
        text = log.read_text()
        assert f"sealward@{os.uname().nodename}" in text
        received = next(line for line in text.splitlines() if "task received" in line and task_id in line)
        assert "sealward.node.activate" in received
        succeeded = next(line for line in text.splitlines() if "task succeeded" in line and task_id in line)
        assert "runtime" in succeeded
    finally:
        end(dump)


def test_flower_shows_nodes_and_tasks(stack: Stack, tmp_path: Path) -> None:
    """The node is online; a task has its name, state and runtime."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    words = [*CELERY, "-b", stack.rabbitmq.url, "flower", "--address=127.0.0.1", f"--port={port}"]
    flower = start(words, tmp_path / "log", {"FLOWER_UNAUTHENTICATED_API": "true"})

    def shown(path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(address + path, timeout=5) as answer:  # noqa: S310 - our own server
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return {}

    try:
        until(lambda: bool(shown("/workers?json=1").get("data")), 40)
        worker = shown("/workers?json=1")["data"][0]
        assert (worker["hostname"], worker["status"]) == (f"sealward@{os.uname().nodename}", True)
        task_id = activated(stack)
        until(lambda: shown("/api/tasks").get(task_id, {}).get("state") == "SUCCESS", 20)
        task = shown("/api/tasks")[task_id]
        assert task["name"] == "sealward.node.activate"
        assert task["runtime"] > 0
    finally:
        end(flower)


def test_bastion_is_left_as_it_was(stack: Stack) -> None:
    """The stack goes on to work for the other tests."""
    stack.ask("DELETE", f"/v1/sign/{BASTION}")
    assert stack.ask("POST", "/v1/sign", {"server_id": BASTION})[1]["sign"]["is_valid"] == "true"
