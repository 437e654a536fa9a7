"""The whole topology on one machine: PostgreSQL, RabbitMQ, migrate, two api, two worker, agent."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from stack.postgres import Postgres
from stack.processes import NotStarted, end, free_port, start, wait_until
from stack.rabbitmq import RabbitMQ

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE: Final = 30.0


class Stack:
    """Servers and processes in one folder; `settings` are environment variables for all of them."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self._folder = folder
        self.postgres = Postgres(folder / "pg")
        self.rabbitmq = RabbitMQ(folder / "mq")
        self.token = secrets.token_urlsafe(24)
        self._settings = settings or {}
        self.apis: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until it answers. Raises NotStarted."""
        self.postgres.start()
        self.rabbitmq.start()
        self.migrate()
        for number in (1, 2):
            self.start_worker(f"worker-{number}")
            self.start_api(f"api-{number}")
        self.start_agent("agent-1")

    def stop(self) -> None:
        """End everything, each by its own pid."""
        for process in reversed(self.processes.values()):
            end(process)
        self.processes.clear()
        self.rabbitmq.close()
        self.postgres.stop()

    def migrate(self) -> None:
        """Bring the schema up to date."""
        done = subprocess.run(
            [sys.executable, "-m", "sealward", "migrate"],
            env=self._env(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise NotStarted(done.stderr.decode())

    def start_api(self, name: str) -> None:
        """Start a process that serves HTTP, at the port it had before."""
        listen = self.apis.get(name, f"http://127.0.0.1:{free_port()}").removeprefix("http://")
        self.apis[name] = f"http://{listen}"
        more = {"SEALWARD_LISTEN": listen, "SEALWARD_DATABASE_URL": self.postgres.url()}
        self._start(name, "api", "Sealward listens", more)

    def start_worker(self, name: str) -> None:
        """Start a worker; all share the authority's key."""
        more = {
            "SEALWARD_DATABASE_URL": self.postgres.url(),
            "SEALWARD_BROKER_URL": self.rabbitmq.url,
            "SEALWARD_AUTHORITY_KEY": str(self._folder / "authority.pem"),
        }
        self._start(name, "worker", "the worker works", more)

    def start_agent(self, name: str) -> None:
        """Start a node's agent: no database, a data directory of its own."""
        more = {
            "SEALWARD_DATA_DIR": str(self._folder / name),
            "SEALWARD_BROKER_URL": self.rabbitmq.url,
        }
        self._start(name, "agent", "works", more)

    def kill(self, name: str) -> None:
        """Pull the plug of a process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(PATIENCE)

    def ask(self, method: str, path: str, body: object = None, api: str = "api-1") -> tuple[int, Any]:
        """Make a call; return status and answer."""
        request = urllib.request.Request(
            self.apis[api] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Auth-Token": self.token, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _start(self, name: str, command: str, ready: str, more: dict[str, str]) -> None:
        log = self._folder / f"{name}.log"
        log.write_bytes(b"")
        process = start([sys.executable, "-u", "-m", "sealward", command], log, self._env() | more)
        self.processes[name] = process
        wait_until(lambda: ready in log.read_text(errors="replace"), process, log, PATIENCE)

    def _env(self) -> dict[str, str]:
        return {
            "SEALWARD_ADMIN_TOKEN": self.token,
            "SEALWARD_DATABASE_URL": self.postgres.url(),
            **self._settings,
        }
