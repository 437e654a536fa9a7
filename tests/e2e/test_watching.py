"""What is wrong is seen within ten seconds: in detail at /healthcheck, and in the metrics of every API."""

from __future__ import annotations

import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from running import WEB, until

from stack.sealward import Stack

pytestmark = pytest.mark.heavy

WITHIN, MARGIN = 10, 10
"""Seconds: what is promised, and what a machine with other work may take on top; the lease is 30."""


def nodes(stack: Stack) -> list[dict[str, Any]]:
    """Return the nodes."""
    found: list[dict[str, Any]] = stack.ask("GET", "/v1/node")[1]["nodes"]
    return found


def quiet(stack: Stack) -> list[str]:
    """Return the nodes of which heartbeats were missed."""
    return list(stack.ask("GET", "/healthcheck?detailed")[1]["quiet"])


def problems(stack: Stack, api: str = "api-1") -> list[str]:
    """Return what the health check says is wrong."""
    status, found = stack.ask("GET", "/healthcheck?detailed", api=api)
    assert status == 200, found
    assert (found["status"] == "ok") == (found["problems"] == [])
    return list(found["problems"])


def metric(stack: Stack, name: str, part: str | None = None, api: str = "api-1") -> float:
    """Return the value of a metric."""
    with urllib.request.urlopen(f"{stack.apis[api]}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        families = list(text_string_to_metric_families(answer.read().decode()))
    return max(
        one.value
        for family in families
        for one in family.samples
        if one.name == name and one.labels.get("part") == part
    )


def is_seen(stack: Stack, problem: str, is_measured: Callable[[str], bool]) -> None:
    """Wait until every API process says so, ten seconds at most."""
    for api in stack.apis:
        until(lambda api=api: problem in problems(stack, api) and is_measured(api), 10)  # type: ignore[misc]


def test_a_silent_node(stack: Stack) -> None:
    """Its agent is killed: it has not been heard within its lease."""
    until(lambda: problems(stack) == [], 20)
    stack.kill("agent-1")
    is_seen(stack, "node.silent", lambda api: metric(stack, "sealward_silent_nodes", api=api) == 1)
    _, found = stack.ask("GET", "/healthcheck?detailed")
    stack.start_process("agent-1")

    assert len(found["silent"]) == 1
    until(lambda: problems(stack) == [], 20)


def test_a_node_that_stops_is_quiet_within_ten_seconds_by_default() -> None:
    """Long before its lease runs out: its agent hangs. It is heard again as if nothing had been."""
    folder = Path(tempfile.mkdtemp(prefix="sw-"))
    folder.chmod(0o755)
    stack = Stack(folder)
    try:
        stack.start()
        until(lambda: [one["reachable"] for one in nodes(stack)] == [True] and quiet(stack) == [], 30)
        stack.processes["agent-1"].send_signal(signal.SIGSTOP)
        took = until(
            lambda: quiet(stack) != [] and metric(stack, "sealward_quiet_nodes") == 1, WITHIN + MARGIN
        )
        print(f"quiet after {took:.1f} s")
        found = problems(stack)
        stack.processes["agent-1"].send_signal(signal.SIGCONT)
        until(lambda: quiet(stack) == [] and metric(stack, "sealward_quiet_nodes") == 0, 20)
    finally:
        if agent := stack.processes.get("agent-1"):
            agent.send_signal(signal.SIGCONT)  # a process that is stopped does not end
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)

    assert "node.silent" not in found


def test_a_stuck_relay(stack: Stack) -> None:
    """The broker is away, and something has happened that nodes do not hear of."""
    stack.rabbitmq.stop()
    stack.ask("POST", "/v1/sign/node/1/action", {"action": "activate"})
    is_seen(stack, "relay.stuck", lambda api: metric(stack, "sealward_lag_seconds", "relay", api) > 5)
    events = metric(stack, "sealward_lag_events", "relay")
    stack.rabbitmq.start()

    assert events >= 1
    until(lambda: problems(stack) == [], 60)


def test_lagging_projections(stack: Stack) -> None:
    """No worker is there, and something has happened that answers do not show."""
    for worker in ("worker-1", "worker-2"):
        stack.kill(worker)
    stack.ask(
        "PUT" if stack.ask("GET", f"/v1/sign/{WEB}")[0] == 200 else "POST", "/v1/sign", {"server_id": WEB}
    )
    is_seen(
        stack,
        "projections.lagging",
        lambda api: metric(stack, "sealward_lag_seconds", "projections", api) > 5,
    )
    for worker in ("worker-1", "worker-2"):
        stack.start_process(worker)

    until(lambda: problems(stack) == [], 60)
