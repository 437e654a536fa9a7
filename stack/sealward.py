"""The whole topology on one machine: PostgreSQL, RabbitMQ, migrate, two api, two worker, agent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from stack.compose import SECRETS, Service, services
from stack.postgres import SEALWARD, Postgres
from stack.processes import NotStarted, end, free_port, start, wait_until
from stack.rabbitmq import RabbitMQ, series
from stack.secrets import make

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE: Final = 30.0


AGENT: Final = "agent-1"
"""The hostname of the node in compose.yaml."""
READY: Final = {"api": "Sealward listens", "worker": "the worker works", "agent": "works"}
"""The line that each kind of process prints when it can be used."""


class Stack:
    """Servers, and the processes of compose.yaml, in one folder.

    `settings` are environment variables on top of those that compose.yaml gives to all of them. What differs
    from the containers: addresses, and where secrets and data are.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.postgres = Postgres(folder / "pg")
        self.rabbitmq = RabbitMQ(folder / "mq")
        self._services = services()
        self.settings = settings or {}
        self.secrets = folder / "secrets"
        broker = self.rabbitmq.url.replace("guest:guest", "{user}:{password}")
        database = self.postgres.url(SEALWARD, "{user}:{password}")
        make(self.secrets, database, broker, socket.gethostname(), lazy=series() < (3, 12))
        self.token = (self.secrets / "admin-token").read_text(encoding="ascii").strip()
        self.apis: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def database_as(self, role: str) -> str:
        """Return its URL as a process has it: `owner`, `api` or `worker`."""
        return (self.secrets / f"{role}-database-url").read_text(encoding="ascii").strip()

    def start(self) -> None:
        """Start everything and wait until it answers. Raises NotStarted.

        No process waits for a process that it does not need: most of the time goes to imports and to
        RabbitMQ.
        """
        with ThreadPoolExecutor(1) as pool:
            broker = pool.submit(self._start_broker)
            self._start_database()
            broker.result()
        names = [name for one in self._services.values() if not one.once for name in one.names]
        for name in names:
            self._launch(name)
        for name in names:
            self._wait_for(name)

    def _start_database(self) -> None:
        """Start PostgreSQL, and run the commands that end by themselves; they do not need the broker."""
        self.postgres.start()
        self.postgres.make_roles(self.secrets)
        self.postgres.database = SEALWARD
        for service in self._services.values():
            if service.once:
                self.run(service.name)

    def _start_broker(self) -> None:
        """Start RabbitMQ with its users and their permissions."""
        self.rabbitmq.start()
        self.rabbitmq.ctl("import_definitions", str(self.secrets / "rabbitmq-definitions"))

    def stop(self) -> None:
        """End everything, each by its own pid; the processes end at the same time."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            end(process)
        self.processes.clear()
        self.rabbitmq.close()
        self.postgres.stop()

    def run(self, name: str) -> None:
        """Run a service that ends by itself, as `migrate`."""
        done = subprocess.run(
            self._words(self._services[name]),
            env=os.environ | self._environment(name, self._services[name]),
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise NotStarted(done.stderr.decode())

    def start_process(self, name: str) -> None:
        """Start a process by the name of its service and number, as `api-1`; an api at the port it had."""
        self._launch(name)
        self._wait_for(name)

    def _launch(self, name: str) -> None:
        """Start a process, and do not wait for it."""
        service = self._service(name)
        log = self.folder / f"{name}.log"
        log.write_bytes(b"")
        self.processes[name] = start(self._words(service), log, self._environment(name, service))

    def _wait_for(self, name: str) -> None:
        """Wait until a process can be used."""
        ready = READY[self._service(name).command]
        log = self.folder / f"{name}.log"
        wait_until(lambda: ready in self.log(name), self.processes[name], log, PATIENCE)

    def _service(self, name: str) -> Service:
        """Return the service of a process."""
        return self._services[name.rpartition("-")[0]]

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
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _words(self, service: Service) -> list[str]:
        words = [one.replace(SECRETS, f"{self.secrets}/") for one in service.words]
        here = [socket.gethostname() if one == AGENT else one for one in words]
        return [sys.executable, "-u", "-m", "sealward", *here]

    def _environment(self, name: str, service: Service) -> dict[str, str]:
        local = {key: self._local(name, key, value) for key, value in service.environment.items()}
        return local | self.settings

    def _local(self, name: str, key: str, value: str) -> str:
        """Return what a setting of a container is here."""
        if key == "SEALWARD_LISTEN":
            url = self.apis.setdefault(name, f"http://127.0.0.1:{free_port()}")
            return url.removeprefix("http://")
        if key == "SEALWARD_DATA_DIR":
            return str(self.folder / name)
        return value.replace(SECRETS, f"{self.secrets}/")
