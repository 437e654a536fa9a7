"""`sealward api`, a process over PostgreSQL, in a cloud."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from cloud import Cloud

from stack.processes import end, free_port, start, wait_until

PAGE = 4096
BOUND = 90e6
"""Bytes that the process may have: memory is what the number of processes on a machine is bound by."""


def test_an_api_process_with_keystone_stays_small(cloud: Cloud, database: str, tmp_path: Path) -> None:
    """auth_token and oslo.policy are in it, and it answers."""
    port, log = free_port(), tmp_path / "log"
    env = cloud.environment() | {"SEALWARD_LISTEN": f"127.0.0.1:{port}", "SEALWARD_DATABASE_URL": database}
    process = start([sys.executable, "-u", "-m", "sealward", "api"], log, env)
    try:
        wait_until(lambda: "Sealward listens" in log.read_text(), process, log, 30)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/sign", headers={"X-Auth-Token": cloud.token("rita")}
        )
        for _ in range(50):
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own URL
                assert json.load(answer) == {"signs": []}
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * PAGE
    finally:
        end(process)

    assert resident < BOUND
