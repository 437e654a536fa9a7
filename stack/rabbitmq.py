"""A private RabbitMQ server: its own node name, folders and ports on loopback, its own epmd."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stack.processes import NotStarted, end, free_port, start, wait_until

if TYPE_CHECKING:
    from stack.certificates import Certificates

DEBIANS: Final = "/usr/lib/rabbitmq/bin/rabbitmq-server"
CONFIGURATION: Final = """loopback_users.guest = true
log.file.level = warning
vm_memory_high_watermark.relative = 0.2
disk_free_limit.absolute = 50MB
"""
TLS: Final = """listeners.ssl.default = 127.0.0.1:{port}
ssl_options.cacertfile = {files.ca}
ssl_options.certfile = {files.certificate}
ssl_options.keyfile = {files.key}
"""


def program(name: str = "rabbitmq-server") -> Path:
    """Return a program of the server: Debian's, or of that which SEALWARD_TEST_RABBITMQ names by its path."""
    return Path(os.environ.get("SEALWARD_TEST_RABBITMQ", DEBIANS)).with_name(name)


def series() -> tuple[int, int]:
    """Return the first two numbers of the server's version, as its folder is named for it."""
    major, minor = re.findall(r"rabbitmq_server-(\d+)\.(\d+)", str(program().resolve()))[-1]
    return int(major), int(minor)


class RabbitMQ:
    """A server in a folder of its own. The user is RabbitMQ's `guest`: over loopback only."""

    def __init__(self, folder: Path, certificates: Certificates | None = None) -> None:
        if not program().exists():
            raise NotStarted("no RabbitMQ server here: apt-get install rabbitmq-server")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = folder / "log"
        self._port, dist, epmd = free_port(), free_port(), free_port()
        self._tls_port = free_port()
        tls = "" if certificates is None else TLS.format(port=self._tls_port, files=certificates)
        (folder / "rabbitmq.conf").write_text(CONFIGURATION + tls)
        (folder / "plugins").write_text("[].\n")
        self._env = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"sealward-{os.getpid()}-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(dist),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }
        self._epmd_words = ["epmd", "-address", "127.0.0.1", "-port", str(epmd)]
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the AMQP URL."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/%2F"

    @property
    def tls_url(self) -> str:
        """Return the URL over TLS, where there are certificates."""
        return f"amqps://guest:guest@127.0.0.1:{self._tls_port}/%2F"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment by which rabbitmqctl finds this server."""
        return os.environ | self._env

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl; return its output."""
        line = [str(program("rabbitmqctl")), "--quiet", *words]
        done = subprocess.run(line, env=self.environment, capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        if self._epmd is None:  # else the server starts an epmd that outlives the server
            self._epmd = start(self._epmd_words, self._log)
        self._process = start([str(program())], self._log, self._env)
        wait_until(self._answers, self._process, self._log, 60)

    def stop(self) -> None:
        """Stop, to be started again; clients are cut off."""
        if self._process is not None:
            end(self._process, 30)
            self._process = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        if self._epmd is not None:
            end(self._epmd)
            self._epmd = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(1))
        except OSError:
            return False
