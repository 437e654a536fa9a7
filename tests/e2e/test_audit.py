"""The log from a running control plane to an auditor: exported, changed on the way, and verified offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import WEB, running, until

ROOT = Path(__file__).parents[2]


def sealward(*words: object, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command, as an auditor whose machine has nothing but Python and Sealward."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SEALWARD_")}
    if data is not None:
        env["SEALWARD_DATA_DIR"] = str(data)
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "sealward", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        check=False,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an export (`log`) and a policy (`policy`) of a log with a false verdict."""
    folder = tmp_path_factory.mktemp("audit")
    with running(folder / "data") as one:
        one.sign()
        one.fleet.replace(WEB, "/disk'", "/other'")
        for policy in ("refuse", "observe") * 140:
            one.ask("PUT", "/v1/node/1/policy", {"on_start": policy})
        until(lambda: one.is_valid() == "false")
        until(lambda: _is_signed(one.ask("GET", "/v1/log").json))
    trusted = sealward("audit", "policy", data=folder / "data")
    (folder / "policy").write_text(trusted.stdout)
    done = sealward("audit", "export", folder / "log", data=folder / "data")
    assert (trusted.returncode, done.returncode) == (0, 0), trusted.stderr + done.stderr
    assert "events up to the checkpoint" in done.stdout
    return folder


def _is_signed(answered: dict[str, dict[str, object]]) -> bool:
    log = answered.get("log", {})
    return bool(log) and log["events"] == log["signed"]


def test_an_export_verifies(exported: Path) -> None:
    """Each step says what it looked at; the verdict is derived again."""
    done = sealward("audit", "verify", exported / "log", "--policy", exported / "policy")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert steps == ["checkpoint", "tree", "events", "soundness", "verdicts", "verified"]
    assert "1 false" in done.stdout


def test_the_page_is_what_happens(exported: Path, tmp_path: Path) -> None:
    """The commands of docs/audit.md: first where the control plane runs, then with the two files alone."""
    page = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
    where, auditor = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for block, data in ((where, exported / "data"), (auditor, tmp_path / "nothing")):
        done = subprocess.run(  # noqa: S603 - the commands of our own page
            ["/bin/bash", "-euc", block],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={"PATH": path, "SEALWARD_DATA_DIR": str(data)},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("verified\n")


def first(folder: Path, pattern: str) -> Path:
    """Return a file of an export."""
    return min(folder.glob(pattern))


def flip(path: Path, at: int) -> None:
    """Change a byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def other_size(path: Path) -> None:
    """Have a checkpoint name another number of events."""
    path.write_text(re.sub(r"^\d+$", "7", path.read_text(), count=1, flags=re.MULTILINE))


def cut(path: Path) -> None:
    """Take the last byte of a file away."""
    path.write_bytes(path.read_bytes()[:-1])


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of an event": (lambda log: flip(first(log, "states/000*"), 300), "states/000"),
    "a byte of a record": (lambda log: flip(first(log, "tile/entries/000*"), 30), "tile/0/000"),
    "a hash of a leaf": (lambda log: flip(first(log, "tile/0/000*"), 40), "tile/0/000"),
    "a hash of a tile above": (lambda log: flip(first(log, "tile/1/000.p/*"), 3), "tile/1/000"),
    "the checkpoint's size": (lambda log: other_size(log / "checkpoint"), "not valid"),
    "no checkpoint": (lambda log: (log / "checkpoint").unlink(), "checkpoint: No such file"),
    "no bytes of events": (lambda log: first(log, "states/*").unlink(), "states/000"),
    "no entries": (lambda log: first(log, "tile/entries/*").unlink(), "tile/entries/000"),
    "no tile": (lambda log: first(log, "tile/0/*").unlink(), "tile/0/000"),
    "bytes of events that end too early": (lambda log: cut(first(log, "states/*")), "states/000"),
    "entries that end too early": (lambda log: cut(first(log, "tile/entries/*")), "tile/entries/000"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_export_is_refused_and_the_file_named(exported: Path, tmp_path: Path, change: str) -> None:
    """Status 1, and no traceback."""
    shutil.copytree(exported / "log", tmp_path / "log")
    make, named = CHANGES[change]
    make(tmp_path / "log")
    done = sealward("audit", "verify", tmp_path / "log", "--policy", exported / "policy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout
    assert "NOT VERIFIED" in done.stdout
    assert "Traceback" not in done.stderr


def test_another_log_is_not_the_log_of_the_policy(exported: Path, tmp_path: Path) -> None:
    """The key of another installation has signed it."""
    with running(tmp_path / "data") as one:
        one.sign()
        until(lambda: _is_signed(one.ask("GET", "/v1/log").json))
    assert sealward("audit", "export", tmp_path / "log", data=tmp_path / "data").returncode == 0
    done = sealward("audit", "verify", tmp_path / "log", "--policy", exported / "policy")
    assert (done.returncode, "the policy names no log" in done.stdout) == (1, True)


@pytest.mark.parametrize("policy", [b"", b"quorum everybody\n", b"\xff\xfe", b"log x+y+z\nquorum none\n"])
def test_a_policy_that_is_none_is_refused(exported: Path, tmp_path: Path, policy: bytes) -> None:
    """Status 2: nothing was verified."""
    (tmp_path / "policy").write_bytes(policy)
    done = sealward("audit", "verify", exported / "log", "--policy", tmp_path / "policy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_log_without_a_checkpoint_is_not_exported(tmp_path: Path) -> None:
    """And the message says what to do."""
    with running(tmp_path / "data"):
        pass
    (tmp_path / "data" / "control.sqlite").unlink()
    for words in (("export", tmp_path / "log"), ("policy",)):
        done = sealward("audit", *words, data=tmp_path / "data")
        assert done.returncode == 2
        assert "SEALWARD_LOG_KEY" in done.stderr
