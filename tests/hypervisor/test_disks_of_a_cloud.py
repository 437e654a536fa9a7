"""Disks of running servers on a real libvirt: backups, layers and volumes that clouds copy and replace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from nodes import PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import MEBIBYTE, Guest, make_disk

SECURE = libvirt.VIR_DOMAIN_XML_SECURE
COPY = (
    libvirt.VIR_DOMAIN_BLOCK_COPY_SHALLOW
    | libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
    | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
)
LAYER = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
COMMIT = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
PIVOT = libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
PUSH = """<domainbackup mode='push'><disks><disk name='vda' type='file'><target file='{}'/>
<driver type='qcow2'/></disk></disks></domainbackup>"""
PULL = """<domainbackup mode='pull'><server transport='unix' socket='{}'/><disks><disk name='vda' type='file'>
<scratch file='{}'/></disk></disks></domainbackup>"""
SNAPSHOT = """<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='{}'/></disk></disks>
</domainsnapshot>"""
CHECKPOINT = "<domaincheckpoint><name>nightly</name></domaincheckpoint>"


@pytest.fixture
def base(node: PrivateNode) -> Path:
    """Return the image that the server's disk is based on."""
    return make_disk(node.guests / "base")


@pytest.fixture
def server(node: PrivateNode, base: Path) -> Running:
    """Return a running server whose disk is a layer over an image, as nova makes it."""
    guest = Guest(node.guests)
    make_disk(guest.disk, backing=(base, "qcow2"))
    return node.run(guest)


@pytest.fixture
def sealward(server: Running) -> Iterator[Sealward]:
    """Return a Sealward that watches the node of `server`, which is signed."""
    with watching(server.node, sweep_interval=1.0) as one:
        one.sign(server.server_id)
        yield one


def stopping(sealward: Sealward) -> None:
    """Have the node stop what is in violation."""
    sealward.ask("PUT", "/v1/node/1/policy", {"on_violation": "stop", "grace": 1})


def measured(sealward: Sealward, server: Running) -> str:
    """Have the server measured now; return the verdict."""
    task = sealward.ask("POST", f"/v1/sign/{server.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] in {"SUCCESS", "FAILURE"})
    return sealward.is_valid(server.server_id)


def events(sealward: Sealward, server: Running, topic: str) -> list[dict[str, Any]]:
    """Return what the events of that type say of the server."""
    found = sealward.ask("GET", f"/v1/sign/{server.server_id}/events").json["events"]
    return [one["data"] for one in found if one["type"] == topic]


def jobs(sealward: Sealward, server: Running) -> list[list[str]]:
    """Return the jobs, each time that they have changed."""
    return [one["jobs"] for one in events(sealward, server, "sign.block-jobs-changed")]


def sections(sealward: Sealward, server: Running) -> set[str]:
    """Return the sections that differ."""
    return {one["section"] for one in sealward.verdict(server.server_id)["findings"]}


def sign_anew(sealward: Sealward, server: Running) -> None:
    """Sign the server as it is now."""
    answer = sealward.ask("PUT", "/v1/sign", {"server_id": server.server_id})
    assert answer.status == 200, answer.body


def is_ready(server: Running) -> bool:
    """Say whether the job of the disk has copied everything."""
    info = server.domain.blockJobInfo("vda")
    return bool(info) and 0 < info["end"] == info["cur"]


def add_layer(server: Running, name: str) -> Path:
    """Have the server write to a new layer over its disk."""
    layer: Path = server.guest.folder / name
    server.domain.snapshotCreateXML(SNAPSHOT.format(layer), LAYER)
    return layer


def test_a_backup_that_clients_fetch_is_an_event_that_names_the_socket(
    sealward: Sealward, server: Running
) -> None:
    """It offers the whole disk to others: nobody has to find out afterwards that it has run."""
    stopping(sealward)
    socket = server.guest.folder / "nbd"
    server.domain.checkpointCreateXML(CHECKPOINT)
    server.domain.backupBegin(PULL.format(socket, server.guest.folder / "scratch"), None)
    until(lambda: jobs(sealward, server) == [[f"vda: backup served at unix:{socket}"]])
    during = measured(sealward, server)
    server.domain.abortJob()
    until(lambda: jobs(sealward, server)[-1] == [])

    assert during == measured(sealward, server) == "true"
    assert server.domain.isActive()


def test_a_backup_to_a_file_is_no_violation_and_leaves_the_server_as_it_was(
    sealward: Sealward, server: Running
) -> None:
    """Written by QEMU beside the server."""
    stopping(sealward)
    server.domain.backupBegin(PUSH.format(server.guest.folder / "backup"), None)
    until(lambda: server.domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE)

    assert measured(sealward, server) == "true"
    assert {one["is_valid"] for one in events(sealward, server, "sign.validated")} == {"true"}


def test_a_layer_that_is_committed_leaves_what_was_signed(sealward: Sealward, server: Running) -> None:
    """The layer itself was not signed; when it is committed, the server writes to the signed disk again."""
    layer = add_layer(server, "layer")
    until(lambda: sealward.is_valid(server.server_id) == "false")
    server.domain.blockCommit("vda", str(server.guest.disk), str(layer), 0, COMMIT)
    until(lambda: jobs(sealward, server) == [[f"vda: active-commit to {server.guest.disk}"]])
    until(lambda: is_ready(server))
    server.domain.blockJobAbort("vda", PIVOT)
    until(lambda: sealward.is_valid(server.server_id) == "true")
    until(lambda: jobs(sealward, server)[-1] == [])


def test_a_pull_changes_the_chain_and_nothing_else(sealward: Sealward, server: Running, base: Path) -> None:
    """The base image is part of what was signed: without it the server is another one."""
    server.domain.blockPull("vda")
    until(lambda: not server.domain.blockJobInfo("vda"))
    until(lambda: measured(sealward, server) == "false")
    places = [one["xpath"] for one in sealward.verdict(server.server_id)["findings"]]

    assert sections(sealward, server) == {"files"}
    assert any(str(base) in one for one in places)
    sign_anew(sealward, server)
    assert measured(sealward, server) == "true"


def test_a_server_is_not_destroyed_while_nova_swaps_its_volume(sealward: Sealward, server: Running) -> None:
    """It has another disk and no definition: stopped now, libvirt would forget it."""
    stopping(sealward)
    volume = make_disk(server.guest.folder / "volume")
    server.domain.undefine()
    server.domain.blockCopy(
        "vda", f"<disk type='file'><source file='{volume}'/><driver type='qcow2'/></disk>", {}, COPY
    )
    until(lambda: jobs(sealward, server) == [[f"vda: copy to {volume}"]])
    during = measured(sealward, server)
    until(lambda: is_ready(server))
    server.domain.blockJobAbort("vda", PIVOT)
    until(lambda: sealward.is_valid(server.server_id) == "false")
    again = [measured(sealward, server) for _ in range(2)]  # the agent reacts after each measurement
    reactions = events(sealward, server, "reaction.taken")
    sealward.ask("PUT", "/v1/node/1/policy", {"on_violation": "observe"})
    server.node.connection.defineXML(server.domain.XMLDesc(SECURE))
    until(lambda: measured(sealward, server) == "false")

    assert (during, again) == ("true", ["false", "false"])
    assert (reactions, server.domain.isActive()) == ([], 1)
    assert sealward.ask("GET", "/v1/events?type=instance.left").json["events"] == []
    assert sections(sealward, server) == {"disks", "files"}  # and no processor, which libvirt has expanded


def test_a_server_that_is_signed_after_a_swap_stays_true(sealward: Sealward, server: Running) -> None:
    """Its definition was made of its running form; started again, it is what was signed."""
    volume = make_disk(server.guest.folder / "volume")
    server.domain.undefine()
    server.domain.blockCopy(
        "vda", f"<disk type='file'><source file='{volume}'/><driver type='qcow2'/></disk>", {}, COPY
    )
    until(lambda: is_ready(server))
    server.domain.blockJobAbort("vda", PIVOT)
    server.node.connection.defineXML(server.domain.XMLDesc(SECURE))
    sign_anew(sealward, server)
    running = measured(sealward, server)
    server.domain.destroy()
    off = measured(sealward, server)
    server.domain.create()

    assert (running, off, measured(sealward, server)) == ("true", "true", "true")


def test_a_swap_that_is_aborted_leaves_what_was_signed(sealward: Sealward, server: Running) -> None:
    """The definition that is made of the running form is equal where libvirt derived it."""
    volume = make_disk(server.guest.folder / "volume")
    server.domain.undefine()
    server.domain.blockCopy(
        "vda", f"<disk type='file'><source file='{volume}'/><driver type='qcow2'/></disk>", {}, COPY
    )
    until(lambda: is_ready(server))
    server.domain.blockJobAbort("vda")
    server.node.connection.defineXML(server.domain.XMLDesc(SECURE))

    assert measured(sealward, server) == "true"
    server.domain.destroy()
    server.domain.create()
    assert measured(sealward, server) == "true"
    assert {one["is_valid"] for one in events(sealward, server, "sign.validated")} == {"true"}


def test_a_volume_that_is_extended_has_another_size_and_no_other_change(
    sealward: Sealward, server: Running
) -> None:
    """The size of what a server writes to is signed."""
    server.domain.blockResize("vda", 128 * MEBIBYTE, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    until(lambda: measured(sealward, server) == "false")
    (found,) = sealward.verdict(server.server_id)["findings"]

    assert found["xpath"].endswith("/@size")
    assert (found["signed"], found["found"]) == (str(64 * MEBIBYTE), str(128 * MEBIBYTE))
    sign_anew(sealward, server)
    assert measured(sealward, server) == "true"
