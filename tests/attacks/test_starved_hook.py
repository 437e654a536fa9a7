"""A hook that is starved, killed in parts, or without what it runs: by the policy, and recorded."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import BATCH, WEB, Running, running, until

from sealward.node_agent.gate import code, hook

pytestmark = pytest.mark.heavy


class Gated:
    """A signed server on a node without an agent; the hook decides alone, from the ledger."""

    def __init__(self, folder: Path, sealward: Running) -> None:
        self.node = folder / "sw" / "node"
        self.place = hook.install(folder / "hooks", self.node, self.node / "gate.sock", folder / "in")
        self.sealward = sealward
        sealward.sign()
        until(lambda: sealward.is_valid() == "true")
        self.good = sealward.fleet.xml(WEB)
        self.evil = self.good.replace("/disk'", "/evil'")
        self.unsigned = sealward.fleet.xml(BATCH)

    def stop_with(self, **policy: str) -> None:
        """Set a policy, and stop the agent when it has it."""
        position = self.sealward.ask("PUT", "/v1/node/1/policy", policy).json["policy"]["position"]
        until(lambda: self.sealward.embedded.agent.policies.of(WEB).set_by == position)
        self.sealward.embedded.agent.stop()

    def popen(self, before: str = ":") -> subprocess.Popen[str]:
        """Run the hook as libvirt does, in a shell that does something before."""
        words = [str(self.place), "instance-00000068", "prepare", "begin", "-"]
        return subprocess.Popen(  # noqa: S603 - our own script
            ["/bin/sh", "-c", f"{before}; exec {shlex.join(words)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": "/"},
        )

    def start(self, xml: str, before: str = ":") -> tuple[int, str]:
        """Start a server; return the status and what is said."""
        with self.popen(before) as process:
            _, said = process.communicate(xml, 15)
        return process.returncode, said

    def reports(self) -> list[dict[str, Any]]:
        """Take the objections that were left."""
        found = []
        for one in sorted((self.node / "spool").glob("*.json")):
            found.append(json.loads(one.read_text()))
            one.unlink()
        return found


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """Yield it."""
    with running(tmp_path / "sw") as sealward:
        yield Gated(tmp_path, sealward)


def _child(process: subprocess.Popen[str]) -> int:
    """Return the Python below the shell."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found: list[int] = []

    def is_there() -> bool:
        with contextlib.suppress(OSError):
            found[:] = [int(one) for one in children.read_text().split()]
        return bool(found)

    until(is_there, 3)
    return found[0]


@pytest.mark.parametrize("when", range(8))
def test_stopped_and_continued_it_lets_nothing_changed_start(gated: Gated, when: int) -> None:
    """Whenever it is stopped for longer than it has: the XML arrived, so the policy decides."""
    gated.stop_with(on_start="refuse")
    process = gated.popen()
    child = _child(process)
    time.sleep(when * 0.008)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGSTOP)
    said: list[tuple[str, str]] = []
    writing = threading.Thread(target=lambda: said.append(process.communicate(gated.evil, 15)))
    writing.start()
    time.sleep(2.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    writing.join(15)

    assert process.returncode == 1, said
    (report,) = gated.reports()
    assert report["server_id"] == WEB
    assert report["refused"] is True
    assert report["reason"] in {"out-of-time", "measurement-differs", "gate-failed"}


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.05])
def test_killed_it_lets_nothing_changed_start(gated: Gated, seconds: float) -> None:
    """The shell that ran it decides by the policy."""
    gated.stop_with(on_start="refuse")
    process = gated.popen()
    child = _child(process)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    process.communicate(gated.evil, 15)

    assert process.returncode == 1
    assert [one["refused"] for one in gated.reports()] == [True]


def test_killed_when_it_has_read_the_xml_it_may_be_any_server(gated: Gated, tmp_path: Path) -> None:
    """The server is not known any more: the start is refused if the policy of any server refuses."""
    gated.sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_start": "refuse"})
    until(lambda: f"{WEB} refuse" in (gated.node / "gate.policy").read_text())
    gated.stop_with(on_start="observe")
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\ncat >/dev/null\nkill -9 $$\n")
    killed.chmod(0o755)
    gated.place.write_text(gated.place.read_text().replace(sys.executable, str(killed)))
    status, _ = gated.start(gated.evil)

    assert status == 1
    assert [(one["reason"], one["refused"]) for one in gated.reports()] == [("gate-failed", True)]


def test_xml_that_is_too_long_is_refused_by_the_policy_of_its_server(gated: Gated) -> None:
    """Metadata can make it as long as one likes: what cannot be measured still names its server."""
    gated.sealward.ask("PUT", f"/v1/sign/{WEB}/policy", {"on_start": "refuse"})
    until(lambda: f"{WEB} refuse" in (gated.node / "gate.policy").read_text())
    gated.stop_with(on_start="observe")
    long = gated.evil.replace("<os>", f"<metadata><a>{'&gt;' * 1_200_000}</a></metadata><os>", 1)
    status, _ = gated.start(long)

    assert status == 1
    assert [(one["server_id"], one["refused"]) for one in gated.reports()] == [(WEB, True)]


LIMITS = [*(f"ulimit -n {number}" for number in (4, 8, 11, 12, 13, 14)), "ulimit -f 0", "ulimit -v 20000",
          "ulimit -v 60000", "ulimit -s 64", "ulimit -t 0"]  # fmt: skip
LEAVE_NOTHING = {"ulimit -n 4", "ulimit -n 8", "ulimit -n 11", "ulimit -t 0", "ulimit -f 0"}
"""Without these no shell reads its script, or nothing can be written: libvirt refuses, without an event."""


@pytest.mark.parametrize("limit", LIMITS)
def test_without_means_it_lets_nothing_changed_start(gated: Gated, limit: str) -> None:
    """Descriptors, memory, processor time, room for files: for each resource that runs out."""
    gated.stop_with(on_start="refuse")
    status, said = gated.start(gated.evil, limit)

    assert status != 0
    assert "Traceback" not in said
    print(limit, status, said)
    if limit not in LEAVE_NOTHING:
        assert [one["refused"] for one in gated.reports()] == [True]


ENOUGH = 6000
"""Kilobytes of memory with which every program that the shell script calls starts."""


def test_whatever_memory_there_is_the_objection_is_recorded_or_said_to_be_lost(gated: Gated) -> None:
    """Memory may run out in any statement: of Python, of what ends it, of the shell that stands in for it."""
    gated.stop_with(on_start="refuse")
    wrong = []
    for limit in range(2600, 23000, 170):
        status, said = gated.start(gated.evil, f"ulimit -v {limit}")
        left = [(one["server_id"], one["refused"]) for one in gated.reports()]
        is_recorded = set(left) == {(WEB, True)}
        is_said = not left and ("could not be recorded" in said or "Sealward" not in said)
        if status == 0 or not (is_recorded or (limit < ENOUGH and is_said)):
            wrong.append((limit, status, left, said))

    assert wrong == []


def test_a_python_that_turns_in_a_circle_is_ended(gated: Gated, tmp_path: Path) -> None:
    """It handles no signal: the kernel ends it, and the policy of the server that it named counts."""
    gated.sealward.sign(BATCH)
    gated.sealward.ask("PUT", f"/v1/sign/{BATCH}/policy", {"on_start": "refuse"})
    until(lambda: f"{BATCH} refuse" in (gated.node / "gate.policy").read_text())
    gated.stop_with(on_start="observe")
    circling = tmp_path / "python"
    circling.write_text(f"#!/bin/sh\ncat >/dev/null\necho server {WEB}\ntrap '' ALRM\nwhile :; do :; done\n")
    circling.chmod(0o755)
    gated.place.write_text(gated.place.read_text().replace(sys.executable, str(circling)))
    status, _ = gated.start(gated.evil)

    assert status == 0
    assert [(one["server_id"], one["refused"]) for one in gated.reports()] == [(WEB, False)]


@pytest.mark.parametrize("what", ["no python", "a garbled client"])
def test_an_objection_of_the_shell_that_finds_no_room_waits_for_the_next_start(
    gated: Gated, what: str
) -> None:
    """The disk of the spool is full, and no Python runs that could keep the objection elsewhere."""
    gated.stop_with(on_start="refuse")
    whole = gated.place.read_text()
    _garble(gated, what)
    with full(gated.node / "spool"):
        status, said = gated.start(gated.evil)
    assert (status, gated.reports()) == (1, [])
    assert "could not be recorded" not in said
    gated.place.write_text(whole)
    gated.start(gated.good)

    assert [(one["server_id"], one["refused"]) for one in gated.reports()] == [(WEB, True)]


def _garble(gated: Gated, what: str) -> None:
    text = gated.place.read_text()
    if what == "no package":
        assert shlex.join(code.libraries()) in text
        text = text.replace(shlex.join(code.libraries()), "/nonexistent")
    elif what == "no client":
        text = text.replace(str(code.CLIENT.parent), "/nonexistent")
    elif what == "no python":
        text = text.replace("python", "nothing")
    elif what == "a garbled client":
        folder = gated.node.parent / "garbled"
        folder.mkdir()
        (folder / "client.py").write_text("import this is no Python\n")
        text = text.replace(str(code.CLIENT.parent), str(folder))
    gated.place.write_text(text)


BROKEN = ["no package", "no client", "no python", "a garbled client"]


@pytest.mark.parametrize("what", BROKEN)
def test_without_what_it_runs_the_policy_decides(gated: Gated, what: str) -> None:
    """Refused where the policy says so, and recorded; what nobody signed starts, for nobody forbids it."""
    gated.stop_with(on_start="refuse")
    _garble(gated, what)
    refused, said = gated.start(gated.good)
    (report,) = gated.reports()

    assert refused == 1
    assert "Sealward does not let" in said
    assert (report["server_id"], report["reason"], report["refused"]) == (WEB, "gate-failed", True)
    assert gated.start(gated.unsigned)[0] == 0
    assert gated.reports() == []


@pytest.mark.parametrize("what", BROKEN)
def test_without_what_it_runs_nothing_is_refused_under_observe(gated: Gated, what: str) -> None:
    """An upgrade that is under way refuses no start, and each start that was not compared is recorded."""
    gated.stop_with(on_start="observe", unsigned="refuse")
    _garble(gated, what)
    tolerated, _ = gated.start(gated.good)
    unsigned, said = gated.start(gated.unsigned)

    assert (tolerated, unsigned) == (0, 1)
    assert "Sealward does not let" in said
    assert [(one["reason"], one["refused"]) for one in gated.reports()] == [
        ("gate-failed", False),
        ("unanswered", True),
    ]


def test_what_was_left_is_reported_by_the_agent(gated: Gated, tmp_path: Path) -> None:
    """The shell's objection and Python's own read as every other."""
    gated.stop_with(on_start="refuse")
    for what in ("no package", "no client"):
        _garble(gated, what)
        gated.start(gated.good)
    gated.sealward.embedded.stop()
    with running(tmp_path / "sw", gated.sealward.fleet) as again:
        until(lambda: len(again.ask("GET", "/v1/events?type=start.refused").json["events"]) == 2)
        found = again.ask("GET", "/v1/events?type=start.refused").json["events"]

    assert {one["data"]["reason"] for one in found} == {"gate-failed"}
    assert {one["data"]["instance_name"] for one in found} == {"instance-00000068"}


def test_only_what_never_arrived_may_start_and_says_so(gated: Gated) -> None:
    """Nobody writes any XML: there is no server that could be compared, and the start is recorded."""
    gated.stop_with(on_start="refuse")
    began = time.monotonic()
    with gated.popen() as process:
        process.wait(10)
        said = process.stderr.read() if process.stderr else ""

    assert time.monotonic() - began < 3
    assert process.returncode == 0
    assert "never arrived" in said
    (report,) = gated.reports()
    assert (report["reason"], report["refused"], report["server_id"]) == ("domain-not-given", False, None)


def test_half_of_the_xml_is_no_way_around(gated: Gated) -> None:
    """What arrived of it says which server it is."""
    gated.stop_with(on_start="refuse")
    with gated.popen() as process:
        assert process.stdin is not None
        process.stdin.write(gated.evil[:600])
        process.stdin.flush()
        process.wait(10)

    assert process.returncode == 1
    assert [one["server_id"] for one in gated.reports()] == [WEB]


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Have a folder on a file system without any room. Skips where nothing can be mounted."""
    mounted = subprocess.run(  # noqa: S603 - our own words
        ["/bin/mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "none", folder], check=False, timeout=10
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (folder / "filler").write_bytes(bytes(4096))
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True, timeout=10)  # noqa: S603 - as above


@pytest.mark.parametrize("what", ["whole", "no package"])
def test_an_objection_that_finds_no_room_waits_for_the_next_start(gated: Gated, what: str) -> None:
    """The disk of the spool is full: the decision stands, and what was to be recorded is not lost."""
    gated.stop_with(on_start="refuse")
    if what != "whole":
        _garble(gated, what)
    with full(gated.node / "spool"):
        status, _ = gated.start(gated.evil)
    assert status == 1
    assert gated.reports() == []
    gated.start(gated.unsigned)
    gated.start(gated.evil)

    assert [one["refused"] for one in gated.reports()] == [True, True]
