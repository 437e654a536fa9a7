"""A real QEMU runs on what the gate read: files that are swapped in between end the start."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from nodes import PrivateNode, Running, private_node
from running import Running as Sealward
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import Guest, make_disk

SWAP = """#!/bin/sh
case "$2 $3" in
"prepare begin") {at_prepare} ;;
"started begin") {at_started} ;;
esac
exit 0
"""
"""A hook of the attacker's that runs after Sealward's at `prepare`, and before it at `started`."""


class Attacked:
    """A node that refuses, its Sealward, and a signed guest with a kernel, an initrd and a base image."""

    def __init__(self, sealward: Sealward, guest: Running) -> None:
        self.node, self.sealward, self.guest = guest.node, sealward, guest
        self.base = base_of(guest.node)
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        assert sealward.sign(self.guest.server_id)["is_valid"] == "true"
        self.set("refuse")

    def set(self, on_start: str) -> None:
        """Set the policy and wait until the node has it."""
        answer = self.sealward.ask("PUT", "/v1/node/1/policy", {"on_start": on_start})
        position = answer.json["policy"]["position"]
        until(lambda: self.sealward.embedded.agent.policies.of("").set_by == position)

    def attack(self, at_prepare: str, at_started: str = ":") -> None:
        """Run these commands after the gate has read, and before it compares."""
        folder = self.node.daemon.hooks_dir / "qemu.d"
        for name, pair in {"zz": (at_prepare, ":"), "aa": (":", at_started)}.items():
            place = folder / name
            place.write_text(SWAP.format(at_prepare=pair[0], at_started=pair[1]))
            place.chmod(0o755)

    def start(self) -> str:
        """Start the guest; return what libvirt says against it."""
        try:
            self.guest.domain.create()
        except libvirt.libvirtError as refused:
            return str(refused)
        return ""

    def validate(self) -> None:
        """Have the guest validated, and wait until that is done."""
        path = f"/v1/sign/{self.guest.server_id}/validate"
        task_id = self.sealward.ask("POST", path).json["task_id"]
        until(lambda: self.sealward.task(task_id)["state"] == "SUCCESS")

    def events(self, topic: str) -> list[dict[str, Any]]:
        """Return the objections that are recorded."""
        answer = self.sealward.ask("GET", f"/v1/events?type={topic}")
        return [one["data"] for one in answer.json["events"]]


def base_of(node: PrivateNode) -> Path:
    """Return the image below the guest's disk."""
    return node.guests / "base.raw"


def defined(node: PrivateNode) -> Running:
    """Make the guest's files and define it; the first one of a libvirtd takes seconds."""
    guest = replace(Guest(node.guests), boots=True)
    make_disk(base_of(node), "raw")
    make_disk(guest.disk, backing=(base_of(node), "raw"))
    return node.define(guest)


@pytest.fixture
def node(hypervisors: Path, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Yield a private libvirtd."""
    with private_node(hypervisors, "kvm-a", known_of_qemu) as one:
        yield one


@pytest.fixture
def attacked(node: PrivateNode) -> Iterator[Attacked]:
    """Yield a node with the gate."""
    folder = node.daemon.folder / "sw"
    data, incoming = folder / "node", node.daemon.folder / "in"
    hook.install(node.daemon.hooks_dir, data, data / "gate.sock", incoming)
    for name in ("aa", "zz"):
        (node.daemon.hooks_dir / "qemu.d" / name).write_text("#!/bin/sh\nexit 0\n")
        (node.daemon.hooks_dir / "qemu.d" / name).chmod(0o755)
    node.restart()
    guest = defined(node)
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        yield Attacked(sealward, guest)


def test_what_is_swapped_after_it_was_read_does_not_run(attacked: Attacked) -> None:
    """Renamed over, written and put back with its times, in a folder that was moved away and back."""
    initrd, base, disk = attacked.guest.guest.initrd, attacked.base, attacked.guest.guest.disk
    folder = initrd.parent
    evil = folder.parent / "evil"
    evil.mkdir()
    for one in (initrd, base):
        (evil / one.name).write_bytes(one.read_bytes() + b"evil" * 128)
    shutil.copytree(folder, folder.parent / "twin")
    keep = folder.parent / "keep"
    ways = {
        "renamed over": (f"cp -p {initrd} {keep}; mv {evil / 'initrd'} {initrd}", ":", f"mv {keep} {initrd}"),
        "written in place and back, with its times": (
            f"cp -p {initrd} {keep}; cat {keep} {keep} >{initrd}",
            f"cat {keep} >{initrd}; touch -r {keep} {initrd}",
            ":",
        ),
        "moved away and back": (
            f"mv {initrd} {keep}; cp {keep} {initrd}",
            f"rm {initrd}; mv {keep} {initrd}",
            ":",
        ),
        "the folder moved away and back": (
            f"mv {folder} {folder}-away; mv {folder.parent}/twin {folder}",
            f"mv {folder} {folder.parent}/twin; mv {folder}-away {folder}",
            ":",
        ),
        "another base image": (
            f"cp -p {base} {keep}; mv {evil / base.name} {base}",
            ":",
            f"mv {keep} {base}",
        ),
        "another base image, by the header of the disk alone": (
            f"cp -p {base} {keep}; qemu-img rebase -u -f qcow2 -F raw -b {keep} {disk}",
            ":",
            f"qemu-img rebase -u -f qcow2 -F raw -b {base} {disk}",
        ),
        "another kernel": (
            f"cp {folder}/vmlinuz {keep}; mv {keep} {folder}/vmlinuz",
            ":",
            ":",
        ),
    }
    assert attacked.start() == ""
    attacked.guest.domain.destroy()
    for name, (at_prepare, at_started, after) in ways.items():
        refused = len(attacked.events("start.refused"))
        attacked.attack(at_prepare, at_started)
        said = attacked.start()
        attacked.attack(":")
        _run(after)

        assert "files are not those" in said, name
        assert not attacked.guest.domain.isActive(), name
        until(lambda known=refused: len(attacked.events("start.refused")) > known)  # type: ignore[misc]  # bound
        event = attacked.events("start.refused")[-1]
        assert event["reason"] == "file-replaced", name
        assert event["findings"], name
    until(lambda: attacked.start() == "", 20)


def test_what_is_swapped_while_a_guest_is_restored_does_not_run(attacked: Attacked) -> None:
    """The running form is shown then; its files are compared as well, and without a swap it starts."""
    attacked.set("observe")
    assert attacked.start() == ""
    attacked.set("refuse")
    attacked.guest.domain.managedSave()
    base = attacked.base
    attacked.attack(f"cp -p {base} {base}.evil; mv {base}.evil {base}")
    said = attacked.start()

    assert "files are not those" in said
    assert not attacked.guest.domain.isActive()
    attacked.attack(":")
    until(lambda: attacked.start() == "", 20)


def _run(command: str) -> None:
    subprocess.run(["/bin/sh", "-c", command], timeout=10, check=True)  # noqa: S603 - our own words


def test_under_observe_a_swapped_file_is_an_event(attacked: Attacked) -> None:
    """The server runs, and everybody knows."""
    attacked.set("observe")
    initrd = attacked.guest.guest.initrd
    attacked.attack(f"cp {initrd} {initrd}.new; mv {initrd}.new {initrd}")

    assert attacked.start() == ""
    until(lambda: bool(attacked.events("start.tolerated")))
    assert attacked.events("start.tolerated")[-1]["reason"] == "file-replaced"
    assert attacked.guest.domain.isActive()


def test_what_goes_on_beside_is_no_swap(attacked: Attacked) -> None:
    """Files that are made in the same folders, reads, and what the guest writes are nothing."""
    folder = attacked.guest.guest.initrd.parent
    began = time.monotonic()
    attacked.attack(f"touch {folder}/new {folder.parent}/new; cat {folder}/* >/dev/null")

    assert attacked.start() == ""
    print(f"started in {time.monotonic() - began:.2f} s")
    attacked.validate()  # the agent reports in order: what it had against the start is known by then
    assert attacked.events("start.refused") == attacked.events("start.tolerated") == []
    until(lambda: not list((attacked.node.daemon.folder / "in" / "read").iterdir()))
