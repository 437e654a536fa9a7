"""No change that a guest makes to its own devices makes a verdict false or writes into the log.

What QEMU does here at a command to its monitor, it does at a guest's own wish, too: it tells libvirt the same
(DEVICE_TRAY_MOVED, BALLOON_CHANGE, BLOCK_WRITE_THRESHOLD, RESET).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import amounts
import libvirt
import libvirt_qemu
import pytest
from nodes import LIVE, PrivateNode, watching
from running import until

from stack.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodes import Running
    from running import Running as Sealward

ROUNDS: Final = 60 if amounts.EVERYTHING else 20
DRIVE: Final = """<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='{}'/>
<target dev='sda' bus='sata'/><readonly/></disk>"""


def _tray(guest: Running, number: int) -> None:
    name = "blockdev-open-tray" if number % 2 else "blockdev-close-tray"
    command = {"execute": name, "arguments": {"id": "sata0-0-0"}}
    libvirt_qemu.qemuMonitorCommand(guest.domain, json.dumps(command), 0)


def _balloon(guest: Running, number: int) -> None:
    guest.domain.setMemoryFlags((96 + number % 16) * 1024, LIVE)


def _threshold(guest: Running, number: int) -> None:
    guest.domain.setBlockThreshold("vda", 4096 * (number + 1))


def _reset(guest: Running, _number: int) -> None:
    guest.domain.reset()


STORMS: dict[str, Callable[[Running, int], None]] = {
    "the tray of its drive": _tray,
    "its balloon": _balloon,
    "writing beyond a threshold": _threshold,
    "starting itself anew": _reset,
}


def entries(sealward: Sealward, guest: Running) -> list[str]:
    """Return the types of the events of the guest."""
    found = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    return [one["type"] for one in found]


@pytest.mark.parametrize("storm", STORMS)
def test_a_guest_cannot_write_the_log(node: PrivateNode, storm: str) -> None:
    """As fast as it goes: no event, and a change that counts is seen all the same."""
    node.guests.mkdir(exist_ok=True)
    (node.guests / "a.iso").write_bytes(bytes(1024 * 1024))
    guest = node.run(Guest(node.guests, extra=DRIVE.format(node.guests / "a.iso")))
    libvirt_qemu.qemuMonitorCommand(guest.domain, '{"execute": "query-status"}', 0)  # a taint that is signed
    with watching(node, sweep_interval=1.0) as sealward:
        sealward.sign(guest.server_id)
        before = entries(sealward, guest)
        head = sealward.ask("GET", "/v1/events?limit=1").json["head"]
        for number in range(ROUNDS):
            STORMS[storm](guest, number)
        task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
        until(lambda: sealward.task(task)["state"] == "SUCCESS")

        since = sealward.ask("GET", f"/v1/events?after={head}").json["events"]
        about = [one for one in since if one["data"].get("server_id") == guest.server_id]
        assert sealward.is_valid(guest.server_id) == "true"
        assert entries(sealward, guest)[len(before) :] == ["sign.validation-requested", "sign.validated"]
        assert len(about) == 2
        guest.domain.setVcpusFlags(2, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
        until(lambda: sealward.is_valid(guest.server_id) == "false")
