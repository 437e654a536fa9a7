"""A server that was signed while it was off starts: what libvirt fills in is true, and becomes known.

Run on a real libvirt with the start gate: what the gate let start it lets be restored, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from nodes import PrivateNode, Running
from running import Running as Sealward
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import FIRMWARE, Guest

DIMM = "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"


@dataclass(frozen=True, slots=True)
class _Picking(Guest):
    """A guest whose firmware, and whose memory device's place, libvirt picks at start."""

    def define(self, node: PrivateNode) -> Running:
        """Define it."""
        xml = (
            self.make().xml.replace("<os>", "<os firmware='efi'>").replace("</devices>", f"{DIMM}</devices>")
        )
        cpu = "<numa><cell id='0' cpus='0' memory='128' unit='MiB'/></numa></cpu>"
        xml = xml.replace("</cpu>", cpu).replace(
            "<memory unit='MiB'>128</memory>",
            "<maxMemory slots='2' unit='MiB'>512</maxMemory><memory unit='MiB'>256</memory>",
        )
        node.connection.defineXML(xml)
        return Running(node, self)


@pytest.fixture
def gated(node: PrivateNode) -> Iterator[Sealward]:
    """Return a Sealward whose node has the gate, installed before its libvirtd last started."""
    folder = node.daemon.folder / "sw"
    hook.install(
        node.daemon.hooks_dir, folder / "node", folder / "node" / "gate.sock", node.daemon.folder / "in"
    )
    node.restart()
    node.define(Guest(node.guests, number=2))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        yield sealward


def _events(sealward: Sealward, guest: Running, topic: str) -> list[dict[str, object]]:
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    return [one["data"] for one in events if one["type"] == topic]


@pytest.mark.skipif(not FIRMWARE.exists(), reason="no OVMF here: apt-get install ovmf")
def test_what_a_start_picks_is_true_becomes_known_and_passes_the_gate(
    node: PrivateNode, gated: Sealward
) -> None:
    """Signed off, started, saved and restored, stopped and started: never false, and one event."""
    guest = _Picking(node.guests).define(node)
    until(lambda: guest.server_id in str(gated.ask("GET", "/v1/server?node_id=1").json["servers"]))
    assert gated.sign(guest.server_id)["is_valid"] == "true"
    position = gated.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
    until(lambda: gated.embedded.agent.policies.of("").set_by == position)
    guest.domain.create()
    until(lambda: _events(gated, guest, "sign.host-bound-changed") != [], 15)
    for step in (guest.domain.managedSave, guest.domain.create, guest.domain.destroy, guest.domain.create):
        step()
        task = gated.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
        until(lambda task=task: gated.task(task)["state"] == "SUCCESS", 15)  # type: ignore[misc]  # a default

    (completed,) = _events(gated, guest, "sign.host-bound-changed")
    said = _events(gated, guest, "sign.validated")
    assert {one["is_valid"] for one in said} == {"true"}, said
    assert "/domain/os/loader" in str(completed["findings"])
    assert gated.ask("GET", "/v1/events?type=start.refused").json["events"] == []
