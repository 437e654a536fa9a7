"""Every way in which a domain can change, on a real libvirt: what is red, what is not, and how soon.

The ways are those that libvirt 9.0 was seen to have; some come with an event, some with a file alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import amounts
import libvirt
import pytest
from nodes import CONFIG, LIVE, PrivateNode, Running, timed, watching
from running import Running as Sealward
from running import until

from stack.guest import Guest, make_disk

BOUND = 0.25
"""Seconds from a change to GET, in the median."""
NIC = "<interface type='user'><mac address='fa:16:3e:99:00:0{}'/><model type='virtio'/></interface>"
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>
<target dev='vdb' bus='virtio'/></disk>"""
ANNOTATION = "<note xmlns='urn:example:note'>mine</note>"
BOTH = LIVE | CONFIG


def attach_disk(guest: Running) -> None:
    """Plug a disk into the running guest."""
    disk = make_disk(guest.guest.folder / "more")
    guest.domain.attachDeviceFlags(DISK.format(disk), LIVE)


def link_down(guest: Running) -> None:
    """Pull the network cable of the running guest."""
    xml = str(guest.domain.XMLDesc(0))
    start, end = xml.index("<interface"), xml.index("</interface>") + len("</interface>")
    down = xml[start:end].replace("</interface>", "<link state='down'/></interface>")
    guest.domain.updateDeviceFlags(down, LIVE)


def snapshot(guest: Running) -> None:
    """Let the guest write to a new layer over its disk."""
    layer = guest.guest.disk.with_name("layer")
    xml = f"<domainsnapshot><disks><disk name='vda'><source file='{layer}'/></disk></disks></domainsnapshot>"
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
    guest.domain.snapshotCreateXML(xml, flags)


def commit(guest: Running) -> None:
    """Write the top layer back into the one below and go on there."""
    flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
    guest.domain.blockCommit("vda", None, None, 0, flags)

    def is_ready() -> bool:
        job = guest.domain.blockJobInfo("vda")
        return bool(job) and job["cur"] == job["end"]

    until(is_ready)
    until(lambda: _pivoted(guest))


def _pivoted(guest: Running) -> bool:
    try:
        guest.domain.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    except libvirt.libvirtError:
        return False  # not ready yet
    return True


def edit_by_hand(guest: Running) -> None:
    """Write into libvirt's own file: libvirt reads it when it starts."""
    file = guest.node.daemon.config_dir / f"{guest.guest.name}.xml"
    file.write_text(file.read_text().replace("qemu64", "qemu32"))


CHANGES: dict[str, tuple[Callable[[Running], object], str, str]] = {
    "edit": (lambda guest: guest.redefine("qemu64", "qemu32"), "cpu", "config"),
    "memory": (
        lambda guest: guest.domain.setMemoryFlags(96 * 1024, CONFIG),
        "memory",
        "config",
    ),
    "vcpus": (
        lambda guest: guest.domain.setVcpusFlags(2, CONFIG | libvirt.VIR_DOMAIN_VCPU_MAXIMUM),
        "tuning",
        "config",
    ),
    "interface": (
        lambda guest: guest.domain.attachDeviceFlags(NIC.format(1), CONFIG),
        "interfaces",
        "config",
    ),
    "metadata": (
        lambda guest: guest.domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT, ANNOTATION, "n", "urn:example:note", CONFIG
        ),
        "metadata",
        "config",
    ),
    "throttle": (
        lambda guest: guest.domain.setBlockIoTune("vda", {"total_iops_sec": 100}, BOTH),
        "disks",
        "config",
    ),
    "throttle live": (
        lambda guest: guest.domain.setBlockIoTune("vda", {"total_iops_sec": 100}, LIVE),
        "disks",
        "live",
    ),
    "hot-plug": (attach_disk, "disks", "live"),
    "link down": (link_down, "interfaces", "live"),
    "snapshot": (snapshot, "disks", "config"),
}
"""What is done → the section and the form of the finding that must be among those it gives."""


@pytest.fixture
def sealward(guest: Running) -> Iterator[Sealward]:
    """Return a Sealward that watches the node of `guest`, which is signed."""
    with watching(guest.node) as one:
        assert one.sign(guest.server_id)["is_valid"] == "true"
        yield one


def found(sealward: Sealward, guest: Running) -> set[tuple[str, str]]:
    """Return section and form of all findings."""
    findings: list[dict[str, Any]] = sealward.verdict(guest.server_id)["findings"]
    return {(one["section"], one["form"]) for one in findings}


def settled(sealward: Sealward, guest: Running) -> list[str]:
    """Have the guest looked at once more; return the causes of its verdicts in the log."""
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] == "SUCCESS")
    return causes(sealward, guest)


def causes(sealward: Sealward, guest: Running) -> list[str]:
    """Return the causes of the verdicts on the guest in the log."""
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    return [one["data"]["cause"] for one in events if one["type"] == "sign.validated"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_false_and_named(sealward: Sealward, guest: Running, change: str) -> None:
    """Each of them, with an event of libvirt or without."""
    make, section, form = CHANGES[change]
    seconds = timed(lambda: make(guest), lambda: sealward.is_valid(guest.server_id) == "false")

    until(lambda: (section, form) in found(sealward, guest))  # libvirt changes live first, config after
    assert seconds < 2


def test_a_device_that_is_unplugged_again_is_true_again(booted: Running) -> None:
    """The guest's own system has to let go of it."""
    booted.wait_booted()
    with watching(booted.node) as sealward:
        sealward.sign(booted.server_id)
        booted.domain.attachDeviceFlags(NIC.format(2), LIVE)
        until(lambda: sealward.is_valid(booted.server_id) == "false")
        booted.domain.detachDeviceFlags(NIC.format(2), LIVE)
        until(lambda: sealward.is_valid(booted.server_id) == "true", 20)


def test_a_change_that_is_undone_at_once_is_noted_once(sealward: Sealward, guest: Running) -> None:
    """Mostly before the agent could measure the server. A change that was measured is false, then true."""
    before = guest.domain.maxMemory()
    for _ in range(20):
        guest.domain.setMemoryFlags(96 * 1024, CONFIG)
        guest.domain.setMemoryFlags(before, CONFIG)
        until(lambda: len(causes(sealward, guest)) > 1)
    assert settled(sealward, guest).count("changed-back") <= 1
    assert sealward.is_valid(guest.server_id) == "true"


def test_a_commit_of_a_signed_layer_is_false(guest: Running) -> None:
    """The disk is another file again."""
    snapshot(guest)
    with watching(guest.node) as sealward:
        sealward.sign(guest.server_id)
        commit(guest)
        until(lambda: ("disks", "config") in found(sealward, guest))

        assert sealward.is_valid(guest.server_id) == "false"


def test_a_snapshot_that_is_committed_is_true_again(sealward: Sealward, guest: Running) -> None:
    """As it was signed: measured equal, not forgiven."""
    snapshot(guest)
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    commit(guest)
    until(lambda: sealward.is_valid(guest.server_id) == "true")


def test_a_file_edited_by_hand_is_found_when_libvirt_reads_it(sealward: Sealward, guest: Running) -> None:
    """Until then the server is what it was; then it is red without anybody asking."""
    edit_by_hand(guest)
    assert settled(sealward, guest) == ["sealed", "requested"]
    assert sealward.is_valid(guest.server_id) == "true"
    guest.node.restart()
    until(lambda: sealward.is_valid(guest.server_id) == "false")

    assert found(sealward, guest) == {("cpu", "config")}


def _vnc_password(guest: Running) -> None:
    xml = str(guest.domain.XMLDesc(0))
    start, end = xml.index("<graphics"), xml.index("</graphics>") + len("</graphics>")
    guest.domain.updateDeviceFlags(xml[start:end].replace("<graphics ", "<graphics passwd='second' "), LIVE)


@pytest.mark.parametrize(
    "make",
    [
        lambda guest: guest.redefine("qemu64", "qemu64"),
        lambda guest: guest.domain.setAutostart(1),
        _vnc_password,
    ],
    ids=["redefined as it is", "autostart", "console password"],
)
def test_what_changes_no_measured_part_is_no_event(
    sealward: Sealward, guest: Running, make: Callable[[Running], object]
) -> None:
    """Libvirt writes its files and sends events all the same."""
    make(guest)

    assert settled(sealward, guest) == ["sealed", "requested"]
    assert sealward.is_valid(guest.server_id) == "true"


def test_an_undefined_server_is_unknown(sealward: Sealward, guest: Running) -> None:
    """Gone is not violated."""
    guest.domain.destroy()
    guest.domain.undefine()
    until(lambda: sealward.is_valid(guest.server_id) == "unknown")


@pytest.mark.alone
def test_half_of_all_changes_are_known_within_the_bound(node: PrivateNode) -> None:
    """From the end of the change to GET, by event and by file alike."""
    guest = node.run(Guest(node.guests))
    durations: list[float] = []
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        for memory in range(20 if amounts.EVERYTHING else 10):
            durations.append(
                timed(
                    lambda memory=memory: guest.domain.setMemoryFlags((64 + memory) * 1024, CONFIG),  # type: ignore[misc]  # a default
                    lambda: sealward.is_valid(guest.server_id) == "false",
                )
            )
            durations.append(
                timed(
                    lambda: guest.domain.setMemoryFlags(128 * 1024, CONFIG),
                    lambda: sealward.is_valid(guest.server_id) == "true",
                )
            )
        for _ in range(5):
            durations.append(
                timed(
                    lambda: guest.redefine("qemu64", "qemu32"),
                    lambda: sealward.is_valid(guest.server_id) == "false",
                )
            )
            guest.redefine("qemu32", "qemu64")
            until(lambda: sealward.is_valid(guest.server_id) == "true")
    median = statistics.median(durations)
    print(f"change to GET: median {median * 1000:.0f} ms, longest {max(durations) * 1000:.0f} ms")

    assert median <= BOUND
