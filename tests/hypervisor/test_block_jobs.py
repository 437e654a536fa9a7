"""Block jobs on a real libvirt: what clouds do every day with the disks of running servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu
import pytest
from nodes import PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import Guest, make_disk

COPY = (
    libvirt.VIR_DOMAIN_BLOCK_COPY_SHALLOW
    | libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
    | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
)
HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP


@pytest.fixture
def sealward(guest: Running) -> Iterator[Sealward]:
    """Return a Sealward that watches the node of `guest`, which is signed."""
    with watching(guest.node, sweep_interval=1.0) as one:
        one.sign(guest.server_id)
        yield one


def events(sealward: Sealward, guest: Running, topic: str) -> list[dict[str, Any]]:
    """Return what the events of that type say of the guest."""
    found = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    return [one["data"] for one in found if one["type"] == topic]


def said(sealward: Sealward, guest: Running) -> set[str]:
    """Return all verdicts that were ever recorded."""
    return {one["is_valid"] for one in events(sealward, guest, "sign.validated")}


def jobs(sealward: Sealward, guest: Running) -> list[list[str]]:
    """Return the block jobs, each time that they have changed."""
    return [one["jobs"] for one in events(sealward, guest, "sign.block-jobs-changed")]


def begin_copy(guest: Running, to: Path) -> None:
    """Begin to copy the disk, as nova does for an image and for another volume."""
    xml = f"<disk type='file'><source file='{to}'/><driver type='qcow2'/></disk>"
    guest.domain.blockCopy("vda", xml, {}, COPY)


def test_the_image_of_a_running_server_as_nova_makes_it_is_an_event_and_no_violation(
    sealward: Sealward, guest: Running
) -> None:
    """Undefined, copied, defined again: stop destroys nothing, and nobody says that the server has left."""
    sealward.ask("PUT", "/v1/node/1/policy", {"on_violation": "stop", "grace": 1})
    definition = guest.config
    guest.domain.undefine()
    target = make_disk(guest.guest.folder / "image")
    begin_copy(guest, target)
    until(lambda: jobs(sealward, guest) == [[f"vda: copy to {target}"]])
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] == "SUCCESS")
    assert sealward.is_valid(guest.server_id) == "true"

    guest.domain.blockJobAbort("vda")
    guest.node.connection.defineXML(definition)
    until(lambda: jobs(sealward, guest)[-1] == [])

    assert guest.domain.isActive()
    assert sealward.validate(guest.server_id) == "true"
    assert said(sealward, guest) == {"true"}
    assert len(jobs(sealward, guest)) == 2
    assert sealward.ask("GET", "/v1/events?type=instance.left").json["events"] == []


def test_a_job_hides_no_change(sealward: Sealward, guest: Running) -> None:
    """What is plugged in while a job runs is a violation as ever."""
    begin_copy(guest, make_disk(guest.guest.folder / "image"))
    until(lambda: len(jobs(sealward, guest)) == 1)
    more = make_disk(guest.guest.folder / "more")
    guest.domain.attachDeviceFlags(
        f"<disk type='file'><driver type='qcow2'/><source file='{more}'/><target dev='vdb'/></disk>",
        libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    places = [one["xpath"] for one in sealward.verdict(guest.server_id)["findings"]]

    assert all("vdb" in one or "mirror" not in one for one in places)


def test_a_copy_that_the_server_goes_on_with_is_measured(sealward: Sealward, guest: Running) -> None:
    """The job has ended and the server is on another file: that was not signed."""
    begin_copy(guest, make_disk(guest.guest.folder / "other"))
    until(lambda: len(jobs(sealward, guest)) == 1)

    def is_ready() -> bool:
        info = guest.domain.blockJobInfo("vda")
        return bool(info) and info["cur"] == info["end"]

    until(is_ready)
    guest.domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    assert any("other" in str(one["found"]) for one in sealward.verdict(guest.server_id)["findings"])


def test_a_command_past_libvirt_is_a_reason_and_an_event_at_once(node: PrivateNode, guest: Running) -> None:
    """A disk that no definition shows. It ends with the process that it was done to, not before."""
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        libvirt_qemu.qemuMonitorCommand(guest.domain, "info block", HMP)
        seconds = until(lambda: sealward.is_valid(guest.server_id) == "false")
        verdict = sealward.verdict(guest.server_id)

        assert seconds < 2
        assert verdict["reasons"] == ["tainted"]
        assert [(one["section"], one["found"]) for one in verdict["findings"]] == [
            ("taint", "custom-monitor")
        ]
        guest.domain.destroy()
        guest.domain.create()
        until(lambda: sealward.is_valid(guest.server_id) == "true")


ARGUMENTS = """<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'>
<arg value='-name'/><arg value='other'/></commandline>"""


def test_taints_that_follow_from_the_definition_are_no_violation(node: PrivateNode) -> None:
    """Arguments for QEMU that were signed, on a node whose QEMU runs as root, signed while it is off."""
    guest = Guest(node.guests, beside=ARGUMENTS)
    defined = node.define(guest)
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        defined.domain.create()
        told = defined.domain.messages(libvirt.VIR_DOMAIN_MESSAGE_TAINTING)
        task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
        until(lambda: sealward.task(task)["state"] == "SUCCESS")

        assert any("custom configuration" in one for one in told)
        assert sealward.is_valid(guest.server_id) == "true"


def test_a_server_that_was_tainted_when_it_was_signed_is_true(node: PrivateNode, guest: Running) -> None:
    """An administrator has looked at it; what comes on top counts."""
    libvirt_qemu.qemuMonitorCommand(guest.domain, "info block", HMP)
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        assert sealward.is_valid(guest.server_id) == "true"
