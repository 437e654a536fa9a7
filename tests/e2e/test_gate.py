"""The start gate of an agent that is a process of its own, and stands still."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

from running import DATABASE, until

from sealward.events.policy import OnDoubt, Unsigned
from sealward.node_agent.gate import hook
from sealward.node_agent.gate.decision import dossier
from sealward.node_agent.hypervisor.fleet import SampleFleet, sample_uri
from stack.sealward import Stack


def refusals(stack: Stack) -> list[dict[str, object]]:
    """Return what is recorded about the server."""
    _, answer = stack.ask("GET", "/v1/events?type=start.refused")
    return [one["data"] for one in answer["events"] if one["data"]["server_id"] == DATABASE]


def started(place: Path, xml: str, operation: str) -> subprocess.CompletedProcess[str]:
    """Run the hook as libvirt does."""
    return subprocess.run(  # noqa: S603 - our own script
        [place, "instance-00000069", operation, "begin", "-"],
        input=xml,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_while_its_agent_stands_still_the_gate_decides_alone(stack: Stack, tmp_path: Path) -> None:
    """In two seconds, by the ledger; what it decided is an event, once, when the agent goes on."""
    process = stack.processes["agent-1"]
    node = stack.folder / "agent-1" / "node"
    place = hook.install(tmp_path / "hooks", node, node / "gate.sock", tmp_path / "in")
    stack.ask("POST", "/v1/sign", {"server_id": DATABASE})
    stack.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"})
    fleet = SampleFleet()
    fleet.open(sample_uri())
    changed = fleet.xml(DATABASE).replace("/disk'", "/other'")

    def is_ready() -> bool:
        known = dossier.read(str(node), DATABASE)
        return known.entry is not None and known.policy.on_start is OnDoubt.REFUSE

    until(is_ready)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = started(place, changed, "prepare")
        print(f"decided in {time.monotonic() - began:.2f} s")
    finally:
        os.kill(process.pid, signal.SIGCONT)
        hook.remove(tmp_path / "hooks", node)
    until(lambda: len(refusals(stack)) == 1, 30)
    until(lambda: not list((node / "spool").glob("*.json")), 30)
    stack.ask("PUT", "/v1/node/1/policy", {"on_start": "observe"})

    assert (done.returncode, done.stdout) == (1, "")
    assert "Sealward does not let" in done.stderr
    assert len(refusals(stack)) == 1


def test_the_control_plane_answers_a_gate_in_time(stack: Stack, tmp_path: Path) -> None:
    """Over the broker and another process: that nobody signed a server is known, and not assumed."""
    node = stack.folder / "agent-1" / "node"
    place = hook.install(tmp_path / "hooks", node, node / "gate.sock", tmp_path / "in")
    stack.ask("PUT", "/v1/node/1/policy", {"unsigned": "refuse"})
    until(lambda: dossier.read(str(node), "").policy.unsigned is Unsigned.REFUSE)
    texts: list[str] = []

    def is_answered() -> bool:
        server_id = uuid.uuid4()
        xml = f"<domain type='test'><name>stranger</name><uuid>{server_id}</uuid></domain>"
        started(place, xml, "migrate")
        texts.append(started(place, xml, "prepare").stderr)
        return "nobody signed it" in texts[-1]

    until(is_answered, 60)  # a machine that is busy answers some other time
    stack.ask("PUT", "/v1/node/1/policy", {"unsigned": "allow"})
    hook.remove(tmp_path / "hooks", node)

    assert "stranger" in texts[-1]
