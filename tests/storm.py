"""Rounds of mixed load on the real topology while it is killed piece by piece, all drawn from a seed."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pika
from running import BASTION, BATCH, DATABASE, WEB

from sealward.events.bus.amqp import EXCHANGE
from sealward.events.wire import cloudevent
from stack.sealward import Stack

SERVERS = (WEB, DATABASE, BATCH, BASTION)
CLIENTS = 3
ANSWER = 20.0
"""Seconds after which a client gives up waiting."""
CALLS = ("POST", "POST", "PUT", "PUT", "DELETE", "validate", "action")
PROCESSES = ("api-1", "api-2", "worker-1", "worker-2", "agent-1", "agent-1")
QUEUE = "storm"


@dataclass
class Fleet:
    """The domains of the one node: a file that libvirt's test driver reads when the agent starts."""

    path: Path
    text: str
    changed: set[str] = field(default_factory=set)

    @property
    def uri(self) -> str:
        """Return the URI under which libvirt reads it."""
        return f"test://{self.path}"

    def write(self) -> None:
        """Write the file; the servers that are changed have another disk."""
        text = self.text
        for server_id in self.changed:
            text = text.replace(f"{server_id}/disk'", f"{server_id}/other'")
        self.path.write_text(text)


@dataclass
class Answers:
    """By the request id that the client chose: what was carried out, what was refused, what nobody knows."""

    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def note(self, request_id: str, status: int | None) -> None:
        """Note an answer; None where there was none."""
        if status is None or status >= 500:
            self.unknown.append(request_id)
        elif status < 300 or status == 410:
            self.acknowledged.append(request_id)
        else:
            self.refused.append(request_id)


class Client:
    """Calls one API process after the other until it is told to stop."""

    def __init__(self, stack: Stack, dice: Random, answers: Answers) -> None:
        self._stack = stack
        self._dice = dice
        self._answers = answers

    def call_until(self, stopped: threading.Event) -> None:
        """Make random calls."""
        while not stopped.is_set():
            request_id = f"req-{uuid.UUID(int=self._dice.getrandbits(128))}"
            status = self._call(request_id, self._dice.choice(CALLS), self._dice.choice(SERVERS))
            self._answers.note(request_id, status)
            if status is None:
                stopped.wait(0.05)

    def _call(self, request_id: str, call: str, server_id: str) -> int | None:
        if call == "action":
            action = self._dice.choice(("activate", "activate", "deactivate"))
            return self._ask(request_id, "POST", "/v1/sign/node/1/action", {"action": action})
        if call == "validate":
            return self._ask(request_id, "POST", f"/v1/sign/{server_id}/validate")
        if call == "DELETE":
            return self._ask(request_id, "DELETE", f"/v1/sign/{server_id}")
        return self._ask(request_id, call, "/v1/sign", {"server_id": server_id})

    def _ask(self, request_id: str, method: str, path: str, body: object = None) -> int | None:
        where = urlsplit(self._dice.choice(sorted(self._stack.apis.values()))).netloc
        headers = {
            "X-Auth-Token": self._stack.token,
            "X-Openstack-Request-Id": request_id,
            "Content-Type": "application/json",
        }
        sent = None if body is None else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection(where, timeout=ANSWER)) as connection:
            try:
                connection.request(method, path, sent, headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return None
            return answer.status


class Subscriber:
    """An outside system with a durable queue; `positions` are those of all events it got, as they came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.positions: list[int] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True)
            channel.queue_bind(QUEUE, EXCHANGE, "#")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(pika.exceptions.AMQPError, OSError), self._channel() as channel:
                self._listen(channel)
            self._stopped.wait(0.2)

    def _listen(self, channel: pika.adapters.blocking_connection.BlockingChannel) -> None:
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.2):
            if self._stopped.is_set():
                return
            if method is not None:
                self.positions.append(cloudevent.parse(body).position)
                channel.basic_ack(method.delivery_tag)

    @contextlib.contextmanager
    def _channel(self) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                connection.close()


class Storm:
    """One seed's round on a stack that runs, and runs again afterwards."""

    def __init__(self, stack: Stack, fleet: Fleet, seed: int) -> None:
        self._stack = stack
        self._fleet = fleet
        self._seed = seed
        self._dice = Random(seed)  # noqa: S311 - a seed that replays
        self.story: list[str] = []

    def rage(self) -> Answers:
        """Let clients call while things break; return what they were answered."""
        answers, stopped = Answers(), threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            calls = [
                pool.submit(self._client(number, answers).call_until, stopped) for number in range(CLIENTS)
            ]
            try:
                for _ in range(self._dice.choice((1, 1, 2))):
                    time.sleep(self._dice.uniform(0.1, 0.7))
                    self._fault()()
                time.sleep(self._dice.uniform(0, 0.3))
            finally:
                stopped.set()
                _all(calls)
        return answers

    def _client(self, number: int, answers: Answers) -> Client:
        dice = Random(f"{self._seed}/{number}")  # noqa: S311 - as above
        return Client(self._stack, dice, answers)

    def _fault(self) -> Callable[[], None]:
        drawn = self._dice.random()
        if drawn < 0.06:
            return self._restart_rabbitmq
        if drawn < 0.25:
            return self._restart_postgres
        return self._kill

    def _kill(self) -> None:
        """Kill a process or two, let the rest go on for a moment, and start them again, all at once."""
        names = sorted(set(self._dice.choices(PROCESSES, k=self._dice.choice((1, 1, 2)))))
        self.story.append(f"kill {names}")
        for name in names:
            self._stack.kill(name)
        time.sleep(self._dice.uniform(0, 0.3))
        if "agent-1" in names:
            self._change()
        with ThreadPoolExecutor(len(names)) as pool:
            _all([pool.submit(self._stack.start_process, name) for name in names])

    def _change(self) -> None:
        """Change a server, or change it back, while nobody looks."""
        server_id = self._dice.choice(SERVERS)
        self._fleet.changed ^= {server_id}
        self._fleet.write()
        self.story.append(f"{server_id} is {'changed' if server_id in self._fleet.changed else 'as it was'}")

    def _restart_postgres(self) -> None:
        self.story.append("kill postgres")
        self._stack.postgres.kill()
        time.sleep(self._dice.uniform(0, 0.5))
        self._stack.postgres.start()

    def _restart_rabbitmq(self) -> None:
        self.story.append("restart rabbitmq")
        self._stack.rabbitmq.stop()
        self._stack.rabbitmq.start()


def _all(futures: list[Future[None]]) -> None:
    for one in futures:
        one.result(120)
