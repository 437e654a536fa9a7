"""A node whose signed server may not start changed, and the hook of its start gate."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from running import WEB, Running, running, until

from sealward.node_agent.gate import hook


@dataclass
class Gated:
    """A Sealward with its node, the hook of the node's start gate, and the XML of the signed server."""

    sealward: Running
    place: Path
    """The hook."""
    node: Path
    """The folder of the node's agent."""
    xml: str

    def starts(self, xml: str | None = None) -> subprocess.CompletedProcess[str]:
        """Start a server as libvirt does: the signed one, or the one that the XML describes."""
        return subprocess.run(  # noqa: S603 - our own script
            [self.place, "instance-00000068", "prepare", "begin", "-"],
            input=self.xml if xml is None else xml,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    def policy(self, **what: str) -> None:
        """Set the node's policy, and wait until its ledger has it."""
        position = self.sealward.ask("PUT", "/v1/node/1/policy", what).json["policy"]["position"]
        until(lambda: self.sealward.embedded.agent.policies.of(WEB).set_by == position)


@contextlib.contextmanager
def gated_node(folder: Path) -> Iterator[Gated]:
    """Give a node in a folder: `on_start` is refuse, and one server is signed."""
    node = folder / "sw" / "node"
    place = hook.install(folder / "hooks", node, node / "gate.sock", folder / "in")
    with running(folder / "sw") as sealward:
        sealward.sign()
        made = Gated(sealward, place, node, sealward.fleet.xml(WEB))
        made.policy(on_start="refuse")
        yield made
