"""The whole topology, as an operator meets it: PostgreSQL, RabbitMQ, api, worker and agent, each a process.

How long from a POST to its answer "true", and from a domain that is defined anew behind Sealward's back to a
GET that says "false": here the agent is in this process, for the sample fleet (libvirt's test driver) lives
in its agent. And what api, worker and agent, each a process, hold in memory at rest.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from private import folder
from running import BASTION, BATCH, DATABASE, WEB, until

from sealward.events.bus.bus import Bus
from sealward.node import Node
from sealward.settings import Settings
from stack.postgres import SEALWARD
from stack.sealward import Stack

SERVERS = (WEB, DATABASE, BATCH, BASTION)
SIGNS = 200
CHANGES = 60
AT_REST = 5.0
MEGABYTE = 1024 * 1024


class Client:
    """One kept connection to an API."""

    def __init__(self, stack: Stack) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(stack.apis["api-1"]).netloc, timeout=30)
        self._headers = {"X-Auth-Token": stack.token, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> dict[str, dict[str, str]]:
        """Make a call and return the answer."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {text!r}")
        found: dict[str, dict[str, str]] = json.loads(text or b"{}")
        return found

    def is_valid(self, server_id: str) -> str:
        """Return what GET says of a sign."""
        return self.ask("GET", f"/v1/sign/{server_id}")["sign"]["is_valid"]


def milliseconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def signed(client: Client) -> Iterator[float]:
    """Yield the milliseconds of a POST whose answer says "true"."""
    for number in range(SIGNS):
        server_id = SERVERS[number % len(SERVERS)]

        def post(server_id: str = server_id) -> None:
            if client.ask("POST", "/v1/sign", {"server_id": server_id})["sign"]["is_valid"] != "true":
                until(lambda: client.is_valid(server_id) == "true", 30)

        yield milliseconds(post)
        client.ask("DELETE", f"/v1/sign/{server_id}")


def changed(client: Client, node: Node) -> Iterator[float]:
    """Yield the milliseconds from a domain defined anew until a GET says "false"."""
    client.ask("POST", "/v1/sign", {"server_id": WEB})
    disk = f"/var/lib/nova/instances/{WEB}/disk"
    for _ in range(CHANGES):
        until(lambda: client.is_valid(WEB) == "true", 30)

        def change() -> None:
            node.fleet.replace(WEB, f"{disk}'", f"{disk}-other'")
            while client.is_valid(WEB) != "false":
                time.sleep(0.001)

        yield milliseconds(change)
        node.fleet.replace(WEB, f"{disk}-other'", f"{disk}'")


def resident(stack: Stack, name: str) -> float:
    """Return the megabytes that a process of the stack holds."""
    status = Path(f"/proc/{stack.processes[name].pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / MEGABYTE


@contextlib.contextmanager
def topology() -> Iterator[tuple[Stack, Path]]:
    """Give one api and one worker on private servers."""
    with folder() as place:
        stack = Stack(place)
        try:
            stack.postgres.start()
            stack.postgres.make_roles(stack.secrets)
            stack.postgres.database = SEALWARD
            stack.rabbitmq.start()
            stack.rabbitmq.ctl("import_definitions", str(place / "secrets" / "rabbitmq-definitions"))
            stack.run("migrate")
            stack.run("invite")
            stack.start_process("api-1")
            stack.start_process("worker-1")
            yield stack, place
        finally:
            stack.stop()


@contextlib.contextmanager
def agent(stack: Stack, place: Path) -> Iterator[Node]:
    """Give an agent in this process."""
    bus = Bus((stack.secrets / "node-broker-url").read_text().strip())
    node = Node(Settings(data_dir=place / "own", join_file=stack.secrets / "node-join"), bus)
    node.start()
    try:
        until(lambda: len(stack.ask("GET", "/v1/server")[1]["servers"]) == len(SERVERS), 30)
        yield node
    finally:
        node.stop()
        bus.close()


def main() -> int:
    """Print all figures; 1 when one is above its bound."""
    with topology() as (stack, place):
        stack.start_process("agent-1")  # it takes the hostname's key with it: one hostname, one agent
        time.sleep(AT_REST)
        memory = {name: resident(stack, name) for name in ("api-1", "worker-1", "agent-1")}
    with topology() as (stack, place), agent(stack, place) as node:
        client = Client(stack)
        list(signed(client))  # warm
        posts = list(signed(client))
        changes = list(changed(client, node))
    cuts = statistics.quantiles(posts, n=100)
    print(f"POST until true, {len(posts)}: min {min(posts):.1f}, max {max(posts):.1f} ms")
    print(f"redefined until false, {len(changes)}: min {min(changes):.1f}, max {max(changes):.1f} ms")
    return report(
        Bound('POST until "true", p50', cuts[49], 40, "ms", most=True),
        Bound('POST until "true", p99', cuts[98], 150, "ms", most=True),
        Bound('a domain defined anew until "false", p50', statistics.median(changes), 250, "ms", most=True),
        *(Bound(f"memory of {name} at rest", size, 90, "MB", most=True) for name, size in memory.items()),
    )


if __name__ == "__main__":
    sys.exit(main())
