"""What is wrong is seen within ten seconds: in detail at /healthcheck, and in the metrics of every API."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families
from running import WEB, until

from stack.sealward import Stack


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
