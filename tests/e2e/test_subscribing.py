"""The examples of docs/subscribing.md and docs/broker.md, run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import amqp
import pika
import psycopg
import pytest
from celery import Celery
from collector import Collector
from running import BATCH, WEB, until

from sealward.cli.node.node import ADD_USER
from sealward.events.bus.permissions import of_worker
from stack.processes import end, start
from stack.rabbitmq import program, series
from stack.sealward import Stack

DOCS = Path(__file__).parents[2] / "docs"
Run = Callable[[str], str]


def examples(file: str, language: str, heading: str = "") -> list[str]:
    """Return the blocks of a language under a heading, or in the whole file."""
    text = (DOCS / file).read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """Return what the examples find their way by."""
    (tmp_path / "sealward").write_text(f'#!/bin/sh\nexec {sys.executable} -m sealward "$@"\n')
    (tmp_path / "rabbitmqctl").write_text(f'#!/bin/sh\nexec {program("rabbitmqctl")} "$@"\n')
    for name in ("sealward", "rabbitmqctl"):
        (tmp_path / name).chmod(0o755)
    return stack.rabbitmq.environment | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(DOCS.parent),
        "SEALWARD_URL": stack.apis["api-1"],
        "SEALWARD_TOKEN": stack.token,
        "AMQP_URL": stack.rabbitmq.url,
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Return what runs a block of shell to its end."""

    def run_it(block: str) -> str:
        done = subprocess.run(  # noqa: S603 - the examples under test
            ["/bin/bash", "-euc", block],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_it


@pytest.fixture
def python(environment: dict[str, str], tmp_path: Path) -> Run:
    """Return what runs a block of Python to its end."""

    def run_it(block: str) -> str:
        done = subprocess.run(  # noqa: S603 - as above
            [sys.executable, "-c", block],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_it


def resigned(stack: Stack, server_id: str = WEB) -> None:
    """Sign a server anew."""
    stack.ask("DELETE", f"/v1/sign/{server_id}")
    assert stack.ask("POST", "/v1/sign", {"server_id": server_id})[0] == 201


def test_pages_over_http(run: Run) -> None:
    """By type, and from a time on."""
    by_type, since = (json.loads(run(block)) for block in examples("subscribing.md", "sh", "HTTP: pages"))

    assert {one["type"] for one in by_type["events"]} == {"io.sealward.node.registered"}
    assert len(since["events"]) > 1


def test_server_sent_events(stack: Stack, run: Run) -> None:
    """By curl, and by `sealward subscribe`."""
    resigned(stack)
    curl, subscribe = examples("subscribing.md", "sh", "HTTP: server-sent events")

    assert "event: io.sealward.node.registered" in run(curl)
    assert json.loads(run(subscribe))["type"] == "io.sealward.sign.validated"


def test_the_topic_exchange(stack: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    """It hears what happens after it began to wait."""
    (block,) = examples("subscribing.md", "python", "RabbitMQ: what happens now")
    log = tmp_path / "log"
    waiting = start([sys.executable, "-c", block], log, environment)
    try:
        until(lambda: "waiting" in log.read_text(), 15)
        resigned(stack)
        assert waiting.wait(30) == 0
    finally:
        end(waiting)

    assert re.search(rf"io.sealward.sign.(created|revoked) sign/{WEB} user:admin", log.read_text())


def test_the_stream_from_the_beginning_and_from_a_time(stack: Stack, python: Run) -> None:
    """Counted once each, as the log has them."""
    resigned(stack)
    status, page = stack.ask("GET", "/v1/events?type=node.registered")
    counted, recent = examples("subscribing.md", "python", "RabbitMQ: the audit stream")
    lines = python(counted).splitlines()
    registered = sum(int(line.split()[0]) for line in lines if "node.registered" in line)

    assert status == 200
    assert registered == len(page["events"])
    assert any("sign.created" in line and "user:admin" in line for line in lines)
    assert "io.sealward.sign.sealed" in python(recent)


def test_subscribe_goes_on_where_it_was_when_the_server_comes_back(
    stack: Stack, environment: dict[str, str], tmp_path: Path
) -> None:
    """Kill the API process under it: every event is printed, once, in order."""
    _, page = stack.ask("GET", "/v1/events?limit=0")
    log = tmp_path / "feed"
    words = [sys.executable, "-m", "sealward", "subscribe", "--url", stack.apis["api-2"]]
    feed = start([*words, "--from", str(page["head"])], log, environment)

    def printed() -> list[int]:
        lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
        return [int(json.loads(line)["sequence"]) for line in lines]

    try:
        resigned(stack)
        until(lambda: bool(printed()), 15)
        stack.kill("api-2")
        resigned(stack, BATCH)
        stack.start_process("api-2")
        _, page = stack.ask("GET", "/v1/events?limit=0")
        until(lambda: printed()[-1] >= page["head"], 20)
    finally:
        end(feed)
    first = int(printed()[0])
    _, logged = stack.ask("GET", f"/v1/events?after={first - 1}&limit=1000")
    positions = [int(one["sequence"]) for one in logged["events"]]

    assert printed() == positions[: len(printed())]


def test_the_documented_users_may_do_their_own(stack: Stack, run: Run, tmp_path: Path) -> None:
    """A subscriber reads and cannot publish; a Celery client may order; a reader of results reads."""
    for name in ("subscriber", "celery"):
        (tmp_path / f"{name}.password").write_text("made-up")
    function, worker, *others = examples("broker.md", "sh")
    assert function == ADD_USER
    for block in others:
        if series() < (3, 12) or "queue-mode" not in block:
            run(function + block)
    may = of_worker()
    assert shlex.split(worker)[-3:] == [may.configure, may.write, may.read]  # the stack has that user already
    url = stack.rabbitmq.url.replace("guest:guest", "subscriber:made-up")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "sealward.events", "#")
        resigned(stack)
        until(lambda: channel.basic_get(queue)[0] is not None, 10)
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.basic_publish("sealward.events", "sign.revoked.node.1", b"forged")
        channel = connection.channel()
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.basic_publish("sealward.orders", "sealward.orders", b"forged")
    order(stack, "celery-client")
    with pytest.raises(amqp.AccessRefused):
        order(stack, "subscriber")


def order(stack: Stack, user: str) -> None:
    """Order as that user, by stock Celery, and wait for the result as a user who may read it alone."""
    (grants,) = examples("broker.md", "sql")
    with psycopg.connect(stack.postgres.url(), autocommit=True) as database:
        database.execute("DROP OWNED BY celery_reader" if known(database) else "SELECT 1")
        database.execute("DROP ROLE IF EXISTS celery_reader")
        database.execute(grants.encode())
    backend = stack.postgres.url().replace("postgresql://postgres", "db+postgresql+psycopg://celery_reader")
    app = Celery(
        "outside",
        broker=stack.rabbitmq.url.replace("guest:guest", f"{user}:made-up"),
        backend=f"{backend}&options=-csearch_path%3Dmain",
    )
    app.conf.broker_transport_options = {"confirm_publish": True}
    try:
        (send,) = examples("broker.md", "python")
        result = eval(send, {"app": app})  # noqa: S307 - the example under test
        assert result.get(timeout=20)["cause"] == "node-activated"
    finally:
        app.backend.session_manager.get_engine(app.backend.url).dispose()
        app.close()


def known(database: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Say whether the role is there."""
    found = database.execute("SELECT 1 FROM pg_roles WHERE rolname = 'celery_reader'").fetchone()
    return found is not None


def test_formats_of_security_systems(stack: Stack, run: Run) -> None:
    """The example prints a finding of OCSF."""
    resigned(stack)
    (block,) = examples("subscribing.md", "sh", "Formats of security systems, and syslog")
    event = json.loads(run(block))

    assert (event["class_uid"], event["metadata"]["event_code"]) == (2004, "sign.validated")


def test_a_restart_goes_on_after_the_last_event_that_was_sent(
    stack: Stack, environment: dict[str, str], tmp_path: Path
) -> None:
    """Two runs over syslog send each event once; a receiver that cannot be is refused."""
    resigned(stack)
    receiver = Collector(None)
    words = [sys.executable, "-m", "sealward", "subscribe", "--from", "first", "--count", "3"]
    words += ["--to", f"syslog+tcp://127.0.0.1:{receiver.port}", "--keep", str(tmp_path / "position")]
    for _ in range(2):
        done = subprocess.run(words, env=environment, timeout=60, check=False, capture_output=True)  # noqa: S603 - ours
        assert done.returncode == 0, done.stderr
    until(lambda: len(receiver.messages) == 6)
    refused = subprocess.run(  # noqa: S603 - ours
        [*words, "--to", "https://siem"],
        env=environment,
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    receiver.close()
    positions = [json.loads(one.partition("\ufeff")[2])["sequence"] for one in receiver.messages]

    assert positions == sorted(set(positions))
    assert refused.returncode == 2
    assert "syslog+tls://HOST:PORT" in refused.stderr
