"""A server that is suspended to disk: its memory and its configuration are in a file, which counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest
from nodes import PrivateNode, Running
from running import Running as Sealward
from running import running, until

from sealward.node_agent.gate import hook
from sealward.node_agent.gate.decision.dossier import read
from sealward.node_agent.ledger.saved_images import SavedImage
from stack.guest import Guest


@pytest.fixture
def sealward(node: PrivateNode) -> Iterator[Sealward]:
    """Run a Sealward whose node has the gate."""
    folder = node.daemon.folder / "sw"
    agent = folder / "node"
    hook.install(node.daemon.hooks_dir, agent, agent / "gate.sock", node.daemon.folder / "in")
    node.restart()
    node.define(Guest(node.guests, number=2))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as one:
        yield one


@pytest.fixture
def saved(node: PrivateNode, sealward: Sealward) -> Running:
    """Return a guest that was signed while it ran, and is suspended to disk."""
    guest = node.run(Guest(node.guests))
    until(lambda: guest.server_id in str(sealward.ask("GET", "/v1/server?node_id=1").json))
    sealward.action("activate")
    sealward.sign(guest.server_id)
    until(lambda: sealward.is_valid(guest.server_id) == "true")
    guest.domain.managedSave()
    until(lambda: kept(guest) is not None)
    return guest


def kept(guest: Running) -> SavedImage | None:
    """Return the record of the image in the ledger of the node."""
    return read(str(guest.node.daemon.folder / "sw" / "node"), guest.server_id).saved_image


def refuse(sealward: Sealward) -> None:
    """Have the node refuse what is not as signed."""
    position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
    until(lambda: sealward.embedded.agent.policies.of("").set_by == position)


def image(guest: Running) -> Path:
    """Return where libvirt has the memory."""
    return guest.node.daemon.folder / "lib" / "qemu" / "save" / f"{guest.domain.name()}.save"


def findings(sealward: Sealward, guest: Running) -> set[tuple[str, str]]:
    """Return sections and codes of the findings."""
    found = sealward.verdict(guest.server_id)["findings"]
    return {(one["section"], one["code"]) for one in found}


def another(guest: Running) -> None:
    """Put a copy with other memory in the place of the image."""
    file = image(guest)
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    content = bytearray(copy.read_bytes())
    content[-4096] ^= 255
    copy.write_bytes(content)
    copy.rename(file)


def in_place(guest: Running) -> None:
    """Write to the image."""
    with image(guest).open("r+b") as file:
        file.seek(-4096, 2)
        byte = file.read(1)
        file.seek(-4096, 2)
        file.write(bytes([byte[0] ^ 255]))


@pytest.mark.parametrize("change", [another, in_place])
def test_saved_memory_that_was_exchanged_is_false_and_does_not_start(
    sealward: Sealward, saved: Running, change: Callable[[Running], None]
) -> None:
    """Within a second, while the server is off."""
    refuse(sealward)
    change(saved)
    until(lambda: sealward.is_valid(saved.server_id) == "false")

    assert findings(sealward, saved) == {("taint", "taint-saved-image-exchanged")}
    with pytest.raises(libvirt.libvirtError, match="not as it was signed"):
        saved.domain.create()
    saved.domain.managedSaveRemove()
    until(lambda: sealward.is_valid(saved.server_id) == "true")
    saved.domain.create()


def test_a_changed_configuration_in_saved_memory_is_false(sealward: Sealward, saved: Running) -> None:
    """`virsh managedsave-edit`; libvirt would run what stands there."""
    xml = saved.domain.managedSaveGetXMLDesc(0)
    assert "listen='127.0.0.1'" in xml
    changed = xml.replace("<on_crash>destroy", "<on_crash>restart")
    assert changed != xml
    saved.domain.managedSaveDefineXML(changed)
    until(lambda: sealward.is_valid(saved.server_id) == "false")

    assert "features" in {section for section, _ in findings(sealward, saved)}


def test_what_libvirt_saves_and_restores_stays_true(sealward: Sealward, saved: Running) -> None:
    """Again and again, also faster than an agent looks."""
    refuse(sealward)
    for _ in range(3):
        saved.domain.create()
        saved.domain.managedSave()
    until(sealward.is_quiet)
    assert sealward.is_valid(saved.server_id) == "true"
    saved.domain.create()
    until(lambda: kept(saved) is None)

    assert sealward.is_valid(saved.server_id) == "true"
    assert sealward.ask("GET", "/v1/events?type=start.refused").json["events"] == []
    verdicts = sealward.ask("GET", f"/v1/sign/{saved.server_id}/events").json["events"]
    assert {one["data"].get("is_valid", "true") for one in verdicts} == {"true"}


def test_what_runs_from_exchanged_memory_stays_false(sealward: Sealward, saved: Running) -> None:
    """Until it is off without an image: nobody knows what is in its memory."""
    another(saved)
    until(lambda: sealward.is_valid(saved.server_id) == "false")
    saved.domain.create()
    task = sealward.ask("POST", f"/v1/sign/{saved.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] == "SUCCESS")
    assert sealward.is_valid(saved.server_id) == "false"
    saved.domain.destroy()
    until(lambda: sealward.is_valid(saved.server_id) == "true")


def test_memory_that_libvirt_never_saved_is_false(sealward: Sealward, saved: Running) -> None:
    """A start would use any file of that name."""
    evil = image(saved).read_bytes()
    saved.domain.create()
    saved.domain.destroy()
    until(lambda: kept(saved) is None)
    until(lambda: sealward.is_valid(saved.server_id) == "true")
    image(saved).write_bytes(evil)
    until(lambda: sealward.is_valid(saved.server_id) == "false")

    assert findings(sealward, saved) == {("taint", "taint-saved-image-exchanged")}
