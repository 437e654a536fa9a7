"""`sealward sample`: a server of the sample fleet of `sealward run` turns false, and true again."""

from __future__ import annotations

import json
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from programs import TOKEN, Process, sealward, started
from running import BATCH, WEB, until

from sealward.node_agent.hypervisor.fleet import SampleFleet, sample_uri
from sealward.node_agent.hypervisor.sample_socket import SampleSocket


def ask(running: Process, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON there is
    """Call the API of a process; with a body by POST."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Auth-Token": TOKEN, "Content-Type": "application/json"}
    request = urllib.request.Request(running.url + path, data, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        return json.load(answer)


def test_a_sample_server_turns_false_and_true_again(tmp_path: Path) -> None:
    """Under `sealward run`, by another process of the same user; twice the same is refused."""
    with started(tmp_path) as running:
        ask(running, "/v1/sign", {"server_id": WEB})

        def is_valid() -> str:
            return str(ask(running, f"/v1/sign/{WEB}/verdict")["verdict"]["is_valid"])

        changed = sealward(tmp_path, "sample", "change", WEB)
        until(lambda: is_valid() == "false")
        again = sealward(tmp_path, "sample", "change", WEB)
        restored = sealward(tmp_path, "sample", "restore", WEB)
        until(lambda: is_valid() == "true")
        default = sealward(tmp_path, "sample", "change")
        mode = stat.S_IMODE((tmp_path / "data" / "sample.sock").stat().st_mode)

        assert "sealward sample change" in running.output()

    assert (changed.returncode, restored.returncode, default.returncode) == (0, 0, 0)
    assert changed.stdout.startswith(f"the disk of server {WEB} is …/{WEB}/other-disk now\n")
    assert again.returncode == 2
    assert "already" in again.stderr
    assert BATCH in default.stdout, "the first server, which `sealward run` names, too"
    assert mode == 0o600


def test_without_a_running_fleet_the_command_says_so(tmp_path: Path) -> None:
    """Which process is missing, and which settings it takes."""
    done = sealward(tmp_path, "sample", "change")

    assert done.returncode == 2
    assert "start `sealward run` with this SEALWARD_DATA_DIR" in done.stderr


@pytest.mark.parametrize("server", ["nonsense", "00000000-0000-0000-0000-000000000000", "\x1b[2J"])
def test_a_server_that_is_not_there_is_refused(tmp_path: Path, server: str) -> None:
    """With libvirt's reason; no control character reaches the terminal."""
    fleet = SampleFleet()
    fleet.open(sample_uri())
    (tmp_path / "data").mkdir()
    samples = SampleSocket(tmp_path / "data", fleet)
    samples.start()
    try:
        done = sealward(tmp_path, "sample", "change", server)
    finally:
        samples.stop()

    assert done.returncode == 2
    assert done.stderr.startswith("sealward: ")
    assert "\x1b" not in done.stderr
    assert not (tmp_path / "data" / "sample.sock").exists()
