"""The real topology: PostgreSQL, RabbitMQ, and processes that die."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pika
from running import BASTION, BATCH, DATABASE, WEB, until

from sealward.events.bus.amqp import EXCHANGE, STREAM
from sealward.events.store.postgres import postgres
from sealward.events.wire import cloudevent
from stack.compose import services
from stack.sealward import Stack

OF_TESTS = {
    "SEALWARD_SIMULATION_SEEDS",
    "SEALWARD_STORM_SEEDS",
    "SEALWARD_TEST_EVERYTHING",
    "SEALWARD_TEST_RABBITMQ",
}
"""What .ci/run and developers set for the tests, and the processes under test inherit."""


def signed(stack: Stack, server_id: str, api: str = "api-1") -> dict[str, Any]:
    """Sign a server anew."""
    stack.ask("DELETE", f"/v1/sign/{server_id}", api=api)
    status, answer = stack.ask("POST", "/v1/sign", {"server_id": server_id}, api=api)
    assert status == 201, answer
    sign: dict[str, Any] = answer["sign"]
    return sign


def is_valid(stack: Stack, server_id: str) -> str:
    """Return what GET says."""
    return str(stack.ask("GET", f"/v1/sign/{server_id}")[1]["sign"]["is_valid"])


def test_a_sign_is_sealed_across_processes_and_seen_by_every_api(stack: Stack) -> None:
    """What one API process answered, any other shows at once."""
    for _ in range(10):
        posted = signed(stack, WEB)
        assert posted["is_valid"] == "true"
        assert stack.ask("GET", f"/v1/sign/{WEB}", api="api-2")[1]["sign"] == posted
        stack.ask("DELETE", f"/v1/sign/{WEB}", api="api-1")
        assert stack.ask("GET", f"/v1/sign/{WEB}", api="api-2")[0] == 404


def test_the_processes_have_the_settings_of_compose(stack: Stack) -> None:
    """What runs here is what would run in containers: the same commands with the same variables."""
    running = {name: started_with(process.pid) for name, process in stack.processes.items()}

    assert running == {
        name: (one.command, set(one.environment) | set(stack.settings))
        for one in services().values()
        for name in one.names
        if not one.once
    }


def started_with(pid: int) -> tuple[str, set[str]]:
    """Return the sub-command of a process, and the names of the settings that it has."""
    process = Path(f"/proc/{pid}")
    words = process.joinpath("cmdline").read_text().rstrip("\0").split("\0")
    variables = process.joinpath("environ").read_text().split("\0")
    names = {one.partition("=")[0] for one in variables if one.startswith("SEALWARD_")}
    return words[-1], names - OF_TESTS


def test_an_action_is_a_task_that_ends(stack: Stack) -> None:
    """Asked at one API process, looked up at the other."""
    _, done = stack.ask("POST", "/v1/sign/node/1/action", {"action": "activate"})
    until(
        lambda: stack.ask("GET", f"/v1/task/{done['task_id']}", api="api-2")[1]["task"]["state"] == "SUCCESS"
    )


def test_everything_in_the_log_is_in_the_stream_in_order(stack: Stack) -> None:
    """An outside system replays it from the first event on, with pika alone."""
    signed(stack, DATABASE)
    store = postgres(stack.postgres.url())
    head = store.head()
    positions: list[int] = []
    connection = pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=100)
    offset = {"x-stream-offset": "first"}
    for method, _, body in channel.consume(STREAM, arguments=offset, inactivity_timeout=10):
        assert method is not None, "the stream ended too early"
        positions.append(cloudevent.parse(body).position)
        channel.basic_ack(method.delivery_tag)
        if positions[-1] >= head:
            break
    with contextlib.suppress(pika.exceptions.AMQPError):
        connection.close()  # pika nacks what it holds, which streams refuse (540): the connection is gone
    logged = [one.position for one in store.follow(0, 100_000)][: len(set(positions))]
    store.close()

    assert list(dict.fromkeys(positions)) == logged
    assert positions == sorted(positions)


def test_a_subscriber_gets_what_it_asks_for(stack: Stack) -> None:
    """Any AMQP client on the topic exchange, by routing key."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.rabbitmq.url))
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, EXCHANGE, "sign.revoked.node.*")
    signed(stack, BATCH)
    stack.ask("DELETE", f"/v1/sign/{BATCH}")
    for method, _, body in channel.consume(queue, inactivity_timeout=10):
        assert method is not None, "nothing came"
        assert cloudevent.parse(body).event.topic == "sign.revoked"
        break
    connection.close()


def test_another_worker_takes_over_within_five_seconds(stack: Stack) -> None:
    """Kill the one that leads relay and projections: writes are sealed again soon."""
    signed(stack, WEB)
    leader = next(name for name in ("worker-1", "worker-2") if "leads: relay" in stack.log(name))
    stack.kill(leader)
    began = time.monotonic()
    stack.ask("PUT", "/v1/sign", {"server_id": WEB})
    until(lambda: stack.ask("GET", f"/v1/sign/{WEB}/verdict")[1]["verdict"]["generation"] == 2)
    seconds = time.monotonic() - began
    stack.start_process(leader)

    assert seconds < 5


def test_a_killed_agent_comes_back_and_does_what_was_ordered_meanwhile(stack: Stack) -> None:
    """The order stands in the log; the node is told everything when it registers."""
    stack.kill("agent-1")
    stack.ask("DELETE", f"/v1/sign/{BASTION}")
    status, posted = stack.ask("POST", "/v1/sign", {"server_id": BASTION})
    stack.start_process("agent-1")

    assert (status, posted["sign"]["is_valid"]) == (201, "unknown")
    until(lambda: is_valid(stack, BASTION) == "true", 20)


def test_without_the_broker_reads_and_actions_go_on_and_nothing_is_lost(stack: Stack) -> None:
    """Afterwards everything heals by itself."""
    signed(stack, WEB)
    stack.rabbitmq.stop()
    assert stack.ask("GET", f"/v1/sign/{WEB}")[0] == 200
    status, action = stack.ask("POST", "/v1/sign/node/1/action", {"action": "activate"})
    assert status == 200
    stack.ask("PUT", "/v1/sign", {"server_id": WEB})
    stack.rabbitmq.start()

    def is_sealed() -> bool:
        return bool(stack.ask("GET", f"/v1/sign/{WEB}/verdict")[1]["verdict"]["generation"] == 2)

    until(is_sealed, 40)
    until(lambda: stack.ask("GET", f"/v1/task/{action['task_id']}")[1]["task"]["state"] == "SUCCESS", 40)
    until(lambda: is_valid(stack, WEB) == "true", 40)


def test_without_the_database_it_is_503_and_heals(stack: Stack) -> None:
    """Nothing has to be started again."""
    stack.postgres.kill()
    status, answer = stack.ask("GET", f"/v1/sign/{WEB}")
    assert (status, answer["error"]["reason"]) == (503, "store.unavailable")
    stack.postgres.start()
    until(lambda: stack.ask("GET", "/v1/sign")[0] == 200, 40)
    until(lambda: stack.ask("PUT", "/v1/sign", {"server_id": WEB})[0] == 200, 40)
    until(lambda: is_valid(stack, WEB) == "true", 40)
    assert {name: process.poll() for name, process in stack.processes.items()} == dict.fromkeys(
        stack.processes
    )
