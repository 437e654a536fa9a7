"""schemathesis against a running API: all its checks in all its phases, with a fixed seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SEED = 7
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = [200, 201, 202, 204, 304, 404, 409, 410, 412]  # what is well asked for may not be there
"""


CUTS_OFF = ("put-node-node_id-key", "delete-node-node_id", "post-node")
"""Calls after which the one node is none, or there are others that nobody ever hears: asked by themselves."""


def findings(url: str, token: str, folder: Path, examples: int, *, cut_off: bool = False) -> str:
    """Return what it has found, nothing when that is nothing; `examples` for each call.

    Asks all but CUTS_OFF, or with `cut_off` those alone.
    """
    which = "--include-operation-id" if cut_off else "--exclude-operation-id"
    phases = "coverage,fuzzing" if cut_off else "examples,coverage,fuzzing,stateful"
    (folder / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(  # noqa: S603 - the interpreter that runs the tests
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--checks", "all", "--phases", phases),
            *("--header", f"X-Auth-Token: {token}", "--request-timeout", "20"),
            *("--max-examples", str(examples), "--seed", str(SEED), "--continue-on-failure"),
            *(word for name in CUTS_OFF for word in (which, name)),
            *("--generation-database", "none", "--no-color", "--suppress-health-check", "all"),
        ],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
        cwd=folder,
    )
    return done.stdout + done.stderr if done.returncode else ""
