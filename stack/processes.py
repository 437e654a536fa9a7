"""Processes that a stack is made of: started with their output in a file, ended by their own pid."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class NotStarted(Exception):
    """A process did not come up; the message names its log."""


def free_port() -> int:
    """Return a port on loopback that nobody has just now.

    None of those that Linux gives to connections: one could have it while the server is being restarted.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = secrets.choice(range(10_000, first))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def start(words: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process of its own session; a pipe would hold its parent, so its output goes to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else os.environ | dict(env),
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes], patience: float = 15) -> int:
    """End a process by its pid: politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(patience)


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, patience: float
) -> None:
    """Wait until a process is ready. Raises NotStarted when it ends or takes too long."""
    deadline = time.monotonic() + patience
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise NotStarted(f"{process.args!r} did not come up; {log} ends with:\n{tail}")
        time.sleep(0.05)


def as_user(name: str, words: Sequence[str]) -> list[str]:
    """Return the command that runs as that user when this is root: some servers refuse to be root."""
    if os.geteuid() != 0:
        return list(words)
    user = pwd.getpwnam(name)
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--",
        *words,
    ]


def give_to(name: str, path: Path) -> Path:
    """Let a file, or a folder that is made when missing, belong to that user when this is root."""
    if not path.exists():
        path.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        user = pwd.getpwnam(name)
        os.chown(path, user.pw_uid, user.pw_gid)
    return path
