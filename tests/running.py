"""A running Sealward on the sample fleet, to be asked over HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sealward.control.role import Role
from sealward.embedded import Embedded
from sealward.events.base import utc_now
from sealward.node_agent.hypervisor.fleet import SampleFleet
from sealward.settings import Settings

WEB = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"
DATABASE = "ee57ad11-5c74-4e49-bf2d-46858570b3a1"
BATCH = "5f0c8a70-9d0c-4f0a-8c39-2d3c6b1f7a6a"
BASTION = "c2a4de19-7b1e-4a55-9a0f-54f1d8e0b36b"
ADMIN = "token-of-the-tests"
PATIENCE = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers (names in lower case), body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body as JSON."""
        read: dict[str, Any] = json.loads(self.body)
        return read


@dataclass
class Running:
    """One Sealward; `fleet` changes servers behind its back."""

    embedded: Embedded
    fleet: SampleFleet
    started_at: datetime
    token: str = field(default=ADMIN, repr=False)

    @property
    def url(self) -> str:
        """Return where it listens."""
        return self.embedded.listener.url

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> Answer:
        """Make one call over a connection of its own; `None` takes a header away."""
        sent: dict[str, str | None] = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        sent |= headers or {}
        data = raw if body is None else json.dumps(body).encode()
        where = urlsplit(self.url)
        with contextlib.closing(http.client.HTTPConnection(where.netloc, timeout=PATIENCE)) as connection:
            connection.request(
                method, path, data, {name: value for name, value in sent.items() if value is not None}
            )
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())

    def is_quiet(self) -> bool:
        """Say whether the node has looked at everything since the start; a deactivated one does not look."""
        projections = self.embedded.control_plane.projections
        with projections.reading() as tables:
            (node,) = projections.nodes.all(tables)
        return node.active is False or (node.swept_at is not None and node.swept_at >= self.started_at)

    def sign(self, server_id: str = WEB) -> dict[str, Any]:
        """Sign a server."""
        answer = self.ask("POST", "/v1/sign", {"server_id": server_id})
        assert answer.status == 201, answer.body
        signed: dict[str, Any] = answer.json["sign"]
        return signed

    def is_valid(self, server_id: str = WEB) -> str:
        """Return what GET says of a sign."""
        return str(self.ask("GET", f"/v1/sign/{server_id}").json["sign"]["is_valid"])

    def verdict(self, server_id: str = WEB) -> dict[str, Any]:
        """Return a verdict with reasons and findings."""
        known: dict[str, Any] = self.ask("GET", f"/v1/sign/{server_id}/verdict").json["verdict"]
        return known

    def dropped(self) -> dict[tuple[str, str], int]:
        """Return how many messages nobody answers for, by the broker's user and the reason."""
        found = self.ask("GET", "/healthcheck?detailed").json["unproven"]
        return {(one["user"], one["reason"]): one["messages"] for one in found}

    def action(self, action: str) -> str:
        """Switch validation and wait until the node has answered; return the task's id."""
        task_id = str(self.ask("POST", "/v1/sign/node/1/action", {"action": action}).json["task_id"])
        until(lambda: self.task(task_id)["state"] == "SUCCESS")
        return task_id

    def validate(self, server_id: str) -> str:
        """Have a server measured now, and return the verdict.

        An agent reports in order: all that it had to report before has arrived then.
        """
        task_id = self.ask("POST", f"/v1/sign/{server_id}/validate").json["task_id"]
        until(lambda: self.task(task_id)["state"] in {"SUCCESS", "FAILURE"})
        return self.is_valid(server_id)

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task."""
        known: dict[str, Any] = self.ask("GET", f"/v1/task/{task_id}").json["task"]
        return known

    def token_of(self, role: Role) -> str:
        """Issue a token."""
        return self.embedded.control_plane.tokens.issue(f"user-{uuid.uuid4()}", role)


def until(done: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait until something is so; return how many seconds it took.

    What is asked is often a server. It is asked less and less often: asking costs CPU time that others need.
    """
    began, pause = time.monotonic(), 0.005
    while not done():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.03)
    return time.monotonic() - began


@contextlib.contextmanager
def running(
    data_dir: Path,
    fleet: SampleFleet | None = None,
    settings: Settings | None = None,
    token: str = ADMIN,
    *,
    quiet: bool = True,
) -> Iterator[Running]:
    """Run Sealward on that data; a fleet that is handed in outlives it."""
    given = fleet or SampleFleet()
    chosen = dataclasses.replace(
        settings or Settings(), listen=("127.0.0.1", 0), data_dir=data_dir, admin_token=ADMIN
    )
    embedded = Embedded(chosen, utc_now, given)
    started_at = utc_now()
    embedded.start()
    try:
        assert embedded.wait_ready(PATIENCE)
        sealward = Running(embedded, given, started_at, token)
        if quiet:
            until(sealward.is_quiet)
        yield sealward
    finally:
        embedded.stop()
