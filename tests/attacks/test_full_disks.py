"""Disks without room beside the start gate: the decision stands, and is refused where the policy says so."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import BATCH, WEB, running, until

from sealward.events.base import utc_now
from sealward.events.policy import OnDoubt, Policy
from sealward.node_agent.gate import hook
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.policies import Policies

NAME = "instance-00000068"


@contextlib.contextmanager
def small(folder: Path) -> Iterator[None]:
    """Have a folder on a file system of 64 MB. Skips where nothing can be mounted."""
    folder.mkdir(exist_ok=True)
    words = ["/bin/mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)]
    if subprocess.run(words, check=False, timeout=10).returncode:  # noqa: S603 - our own words
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True, timeout=10)  # noqa: S603 - as above


def fill(folder: Path) -> None:
    """Leave no room in a file system."""
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(filler, bytes(size))
    finally:
        os.close(filler)


def start(hooks: Path, operation: str, xml: str = "") -> tuple[int, str]:
    """Run the hook as libvirt does; return its status and what it says."""
    ran = subprocess.run(  # noqa: S603 - our own script
        [str(hooks / "qemu.d" / "sealward"), NAME, operation, "begin", "-"],
        input=xml,
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "HOME": "/"},
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("policy", "of_server", "changed", "unsigned"),
    [
        ({"on_start": "refuse"}, {}, 1, 0),
        ({"on_start": "observe", "unsigned": "refuse"}, {}, 0, 1),
        ({"on_start": "observe"}, {"on_start": "refuse"}, 1, 0),
    ],
)
def test_a_ledger_without_room_beside_it_lets_nothing_changed_start(
    tmp_path: Path, policy: dict[str, str], of_server: dict[str, str], changed: int, unsigned: int
) -> None:
    """SQLite opens no database that nobody has open where it can make no files: the posted policy decides."""
    hooks, data = tmp_path / "hooks", tmp_path / "sw"
    with small(data):
        with running(data) as sealward:
            hook.install(hooks, data / "node", data / "node" / "gate.sock", tmp_path / "in")
            sealward.sign()
            evil = sealward.fleet.xml(WEB).replace("/disk'", "/evil'")
            stranger = sealward.fleet.xml(BATCH)
            sealward.ask("PUT", "/v1/node/1/policy", policy)
            if of_server:
                sealward.ask("PUT", f"/v1/sign/{WEB}/policy", of_server)
            wanted = f"{WEB} {(policy | of_server)['on_start']}\n"
            of_node = f"node {policy['on_start']} {policy.get('unsigned', 'allow')}\n"
            place = data / "node" / "gate.policy"
            until(lambda: wanted in (text := place.read_text()) and of_node in text)
        fill(data)
        found = [start(hooks, "prepare", evil), start(hooks, "prepare", stranger)]
        (data / "filler").unlink()
        start(hooks, "prepare", stranger)
        spool = data / "node" / "spool"
        reports = [json.loads(one.read_text()) for one in spool.glob("*.json")]
        drafts = [one for one in spool.iterdir() if one.suffix != ".json"]

    assert [status for status, _ in found] == [changed, unsigned], found
    assert drafts == []
    ours = [one for one in reports if one["server_id"] == WEB]
    assert [(one["reason"], one["refused"]) for one in ours] == [("ledger-unreadable", changed == 1)]


def test_a_swapped_file_that_cannot_be_recorded_does_not_run(tmp_path: Path) -> None:
    """Neither the spool nor what stands for it has room: the policy of the start decides."""
    hooks, data, incoming = tmp_path / "hooks", tmp_path / "sw" / "node", tmp_path / "in"
    hook.install(hooks, data, data / "gate.sock", incoming)
    image = tmp_path / "initrd"
    image.write_bytes(b"evil")
    line = f"file 1 1 4 1 1 0:0:33188 - {os.fsencode(image).hex()}\n"
    for folder in (incoming, incoming / "read", incoming / "unsaid"):
        folder.mkdir(exist_ok=True)
    found = {}
    with small(incoming / "unsaid"), small(data / "spool"):
        fill(incoming / "unsaid")
        fill(data / "spool")
        for policy in ("refuse", "observe"):
            (incoming / "read" / NAME).write_text(f"{policy} {WEB}\n{line}")
            found[policy] = start(hooks, "started")

    assert found["refuse"][0] == 1, found
    assert found["observe"][0] == 0, found


def test_a_policy_that_found_no_room_is_posted_later(tmp_path: Path) -> None:
    """The ledger had room for it in a file that it has already, and the posted policy is a new file."""
    place = tmp_path / "node" / "gate.policy"
    ledger = Ledger(tmp_path / "node" / "ledger.sqlite")
    Policies(ledger).set_node(Policy(), 0)
    blocked = place.parent / ".gate.policy"
    blocked.mkdir()
    Policies(ledger).set_node(Policy(on_start=OnDoubt.REFUSE), 1)
    before = place.read_text()
    blocked.rmdir()
    ledger.hear(utc_now())
    ledger.close()

    assert "node observe" in before
    assert "node refuse" in place.read_text()
