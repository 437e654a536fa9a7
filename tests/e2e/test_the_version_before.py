"""A control plane with an agent of the version before, and the other way round.

The version before is that of the last commit before pyproject.toml named this version. Without that commit in
the history of the repository there is nothing to try.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import BASTION, WEB, until

from sealward.events import version
from stack.compose import Service
from stack.sealward import Stack

ROOT = Path(__file__).parent.parent.parent


def git(*words: str) -> bytes:
    """Return what git prints about this repository; nothing where there is no history."""
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=60, check=False)  # noqa: S603, S607 - words of this file, and the git of the path
    return done.stdout if done.returncode == 0 else b""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the code of the version before."""
    named = git("log", "-1", "--format=%H", f'-Sversion = "{version.own()}"', "--", "pyproject.toml").decode()
    tree = git("archive", f"{named.strip()}~1", "sealward") if named.strip() else b""
    if not tree:
        pytest.skip("the repository's history does not reach to the version before")
    folder = tmp_path_factory.mktemp("before")
    (folder / "tree.tar").write_bytes(tree)
    with tarfile.open(folder / "tree.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


class Mixed(Stack):
    """A stack in which the commands of `of_before` are of the version before."""

    def __init__(self, folder: Path, old: Path, of_before: set[str]) -> None:
        super().__init__(folder)
        self._old = old
        self.of_before = of_before

    def _environment(self, name: str, service: Service) -> dict[str, str]:
        found = super()._environment(name, service)
        if service.command in self.of_before:
            found |= {"PYTHONPATH": str(self._old), "PYTHONSAFEPATH": "1"}
        return found


@contextlib.contextmanager
def mixed(old: Path, *of_before: str) -> Iterator[Mixed]:
    """Give a running stack in which these commands are of the version before."""
    folder = Path(tempfile.mkdtemp(prefix="sw-"))
    folder.chmod(0o755)
    made = Mixed(folder, old, set(of_before))
    try:
        made.start()
        until(lambda: len(made.ask("GET", "/v1/server")[1]["servers"]) == 4, 30)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def is_valid(stack: Stack, server_id: str) -> str:
    """Return the verdict on a server."""
    return str(stack.ask("GET", f"/v1/sign/{server_id}")[1]["sign"]["is_valid"])


def validated(stack: Stack, server_id: str) -> str:
    """Have a server measured; return the state of the task when it is done."""
    task_id = stack.ask("POST", f"/v1/sign/{server_id}/validate")[1]["task_id"]
    until(lambda: stack.ask("GET", f"/v1/task/{task_id}")[1]["task"]["state"] != "PENDING", 30)
    return str(stack.ask("GET", f"/v1/task/{task_id}")[1]["task"]["state"])


def test_an_agent_of_the_version_before_works_until_it_is_upgraded(before: Path) -> None:
    """It is listed as outdated, seals and validates. Upgraded in place it keeps its signs."""
    with mixed(before, "agent") as stack:
        (node,) = stack.ask("GET", "/v1/node")[1]["nodes"]
        sealed = stack.ask("POST", "/v1/sign", {"server_id": WEB})[1]["sign"]["is_valid"]
        task = validated(stack, WEB)

        stack.kill("agent-1")
        stack.of_before.clear()
        stack.start_process("agent-1")
        until(lambda: stack.ask("GET", "/v1/node/1")[1]["node"]["version"] == version.own(), 30)
        upgraded = stack.ask("GET", "/v1/node?outdated=true")[1]["nodes"]
        later = validated(stack, WEB)
        verdict = is_valid(stack, WEB)
        again = stack.ask("POST", "/v1/sign", {"server_id": BASTION})[1]["sign"]["is_valid"]
        refused = stack.ask("GET", "/v1/events?limit=1000&type=node.report-refused")[1]["events"]

    assert (node["reachable"], node["outdated"], node["version"]) == (True, True, None)
    assert (sealed, task) == ("true", "SUCCESS")
    assert upgraded == []
    assert (later, verdict, again) == ("SUCCESS", "true", "true")
    assert refused == []


def test_an_agent_that_is_ahead_works(before: Path) -> None:
    """It reports nothing that the control plane of the version before does not know."""
    pytest.importorskip("psycopg_pool", reason="the control plane of 0.1 needs it")
    with mixed(before, "migrate", "node", "api", "worker") as stack:
        (node,) = stack.ask("GET", "/v1/node")[1]["nodes"]
        sealed = stack.ask("POST", "/v1/sign", {"server_id": WEB})[1]["sign"]["is_valid"]
        task = validated(stack, WEB)
        verdict = is_valid(stack, WEB)
        refused = stack.ask("GET", "/v1/events?limit=1000&type=node.report-refused")[1]["events"]

    assert node["reachable"]
    assert (sealed, task, verdict) == ("true", "SUCCESS", "true")
    assert refused == []
