"""A private memcached on loopback: its content is gone when it ends."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING, Final

from stack.processes import NotStarted, as_user, end, free_port, start, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PATIENCE: Final = 20.0


class Memcached:
    """Runs as `nobody` when this is root, which it refuses to be."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "memcached.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and wait until it answers. Raises NotStarted."""
        program = shutil.which("memcached")
        if program is None:
            raise NotStarted("no memcached here: scripts/setup.sh dev")
        words = [program, "-l", "127.0.0.1", "-p", str(self._port), "-U", "0", "-m", "16"]
        self._process = start(as_user("nobody", words), self._log)
        wait_until(self._answers, self._process, self._log, PATIENCE)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1) as connection:
                connection.sendall(b"version\r\n")
                return connection.recv(64).startswith(b"VERSION")
        except OSError:
            return False
