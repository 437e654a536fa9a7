"""Taints of a real libvirt: what a restart of libvirt, and a reaction, make of them."""

from __future__ import annotations

from typing import Any

import libvirt_qemu
from nodes import LIVE, PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import make_disk

HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
DISK = (
    """<disk type='file'><driver type='qcow2'/><source file='{}'/><target dev='vdb' bus='virtio'/></disk>"""
)


def reactions(sealward: Sealward) -> list[dict[str, Any]]:
    """Return what was done about violations."""
    return [one["data"] for one in sealward.ask("GET", "/v1/events?type=reaction.taken").json["events"]]


def measured(sealward: Sealward, guest: Running) -> dict[str, Any]:
    """Have the server measured now; return the verdict."""
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] in {"SUCCESS", "FAILURE"})
    return sealward.verdict(guest.server_id)


def test_a_taint_outlives_a_restart_of_libvirt(node: PrivateNode, guest: Running) -> None:
    """What was plugged in past libvirt is still there: the verdict is not true again."""
    with watching(node, sweep_interval=1.0) as sealward:
        sealward.sign(guest.server_id)
        libvirt_qemu.qemuMonitorCommand(guest.domain, "info block", HMP)
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        before = sealward.verdict(guest.server_id)["checked_at"]
        node.restart()
        until(lambda: _is_tainted_after(measured(sealward, guest), before), 30)
        events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
        verdicts = [one["data"]["is_valid"] for one in events if one["type"] == "sign.validated"]

        assert guest.domain.isActive()
        assert verdicts[0] == "true"
        assert "true" not in verdicts[verdicts.index("false") :]


def _is_tainted_after(verdict: dict[str, Any], before: str) -> bool:
    return bool(verdict["checked_at"] > before) and verdict["reasons"] == ["tainted"]


def test_a_question_to_the_monitor_stops_no_server(node: PrivateNode, guest: Running) -> None:
    """No taint tells a question from a command: the server is false and runs on. A change is stopped."""
    with watching(node, sweep_interval=1.0) as sealward:
        sealward.ask("PUT", "/v1/node/1/policy", {"on_violation": "stop", "grace": 1})
        sealward.sign(guest.server_id)
        libvirt_qemu.qemuMonitorCommand(guest.domain, "info block", HMP)
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        assert [measured(sealward, guest)["is_valid"] for _ in range(2)] == ["false", "false"]
        assert (reactions(sealward), guest.domain.isActive()) == ([], 1)

        guest.domain.attachDeviceFlags(DISK.format(make_disk(guest.guest.folder / "more")), LIVE)
        until(lambda: {one["action"] for one in reactions(sealward)} == {"shutdown", "destroy"})
        assert not guest.domain.isActive()
