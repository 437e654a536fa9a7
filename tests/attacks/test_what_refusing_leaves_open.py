"""`on_start: refuse` is about signed servers; what else may start is said wherever it is set or shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from running import WEB, running, until

STRICT = {"on_start": "refuse", "unsigned": "refuse", "firmware": "refuse"}


def opened(answer: dict[str, Any]) -> list[list[str]]:
    """Return the first words of each thing that is said to be left open."""
    return [one.split()[:4] for one in answer.get("leaves_open", [])]


def test_the_api_says_what_a_policy_leaves_open(tmp_path: Path) -> None:
    """When it is set, when it is shown, and of a server alone."""
    with running(tmp_path) as sealward:
        sealward.sign()
        loose = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json
        shown = sealward.ask("GET", "/v1/node/1/policy").json
        strict = sealward.ask("PUT", "/v1/node/1/policy", STRICT).json
        observed = sealward.ask("PUT", "/v1/node/1/policy", {}).json
        own = sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_start": "refuse"}).json

    assert len(opened(loose)) == len(opened(shown)) == len(opened(own)) == 2
    assert "under another UUID" in loose["leaves_open"][0]
    assert "leaves_open" not in strict
    assert "leaves_open" not in observed


def status(folder: Path) -> str:
    """Return what `sealward gate status` prints for the node of a running Sealward."""
    line = [sys.executable, "-m", "sealward", "gate", "status"]
    environment = os.environ | {"SEALWARD_DATA_DIR": str(folder)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    return done.stdout


def test_the_gate_says_what_its_policy_leaves_open(tmp_path: Path) -> None:
    """From the node's ledger, so without the control plane."""
    with running(tmp_path) as sealward:
        for policy, lines in (({"on_start": "refuse"}, 2), (STRICT, 0)):
            position = sealward.ask("PUT", "/v1/node/1/policy", policy).json["policy"]["position"]
            until(lambda position=position: sealward.embedded.agent.policies.of("").set_by == position)  # type: ignore[misc]  # a default
            said = status(tmp_path).splitlines()
            assert said[1].startswith("policy: on_start: refuse, unsigned: ")
            assert len([one for one in said if one.startswith("open: ")]) == lines
