"""Sealward as processes: started with their output in files, ended by signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running import until

from stack.processes import free_port

TOKEN = "token-of-a-process"  # noqa: S105 - made up
PATIENCE = 20


@dataclass
class Process:
    """A `sealward run` and where it listens."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def ask(self, method: str, path: str, body: object = None, token: str = TOKEN) -> tuple[int, Any]:
        """Make a call; return status and answer."""
        request = urllib.request.Request(  # noqa: S310 - our own URL
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Auth-Token": token, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def output(self, name: str = "out") -> str:
        """Return what it printed."""
        return (self.folder / name).read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process on that folder."""
    return os.environ | {"SEALWARD_DATA_DIR": str(folder / "data")} | more


def sealward(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a sub-command to its end."""
    return subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [sys.executable, "-m", "sealward", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(folder, **more),
    )


@contextlib.contextmanager
def started(folder: Path, **more: str) -> Iterator[Process]:
    """Start `sealward run` and wait until it answers; it is killed at the end if it still runs."""
    port = free_port()
    settings = {"SEALWARD_LISTEN": f"127.0.0.1:{port}", "SEALWARD_ADMIN_TOKEN": TOKEN} | more
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "sealward", "run"],
            stdout=out,
            stderr=err,
            env=environment(folder, **settings),
        )
    running = Process(process, f"http://127.0.0.1:{port}", folder)
    try:
        until(lambda: "Ctrl-C ends it" in running.output() or process.poll() is not None, PATIENCE)
        assert process.poll() is None, running.output("err")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
    assert "Traceback" not in running.output("err")
