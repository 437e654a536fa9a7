"""Files that arguments of QEMU name, and the emulator, are measured as others are, on a real libvirtd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from nodes import PrivateNode, private_node
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import Guest

EMULATOR = '#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n'
SPACE = "http://libvirt.org/schemas/domain/qemu/1.0"


@pytest.fixture
def node(hypervisors: Path, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Yield a private libvirtd."""
    with private_node(hypervisors, "kvm-a", known_of_qemu) as one:
        yield one


def test_what_fw_cfg_is_given_by_an_argument_does_not_start_changed(node: PrivateNode) -> None:
    """Ignition files come this way. Changed it is false and refused; put back, true, and it starts."""
    ignition = node.daemon.folder / "config.ign"
    ignition.write_text("good")
    arguments = f"<q:arg value='-fw_cfg'/><q:arg value='name=opt/com.coreos/config,file={ignition}'/>"
    beside = f"<q:commandline xmlns:q='{SPACE}'>{arguments}</q:commandline>"
    folder = node.daemon.folder / "sw"
    data = folder / "node"
    hook.install(node.daemon.hooks_dir, data, data / "gate.sock", node.daemon.folder / "in")
    node.restart()
    guest = node.define(Guest(node.guests, beside=beside))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        assert sealward.sign(guest.server_id)["is_valid"] == "true"
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        guest.domain.create()
        guest.domain.destroy()
        ignition.write_text("evil")

        with pytest.raises(libvirt.libvirtError, match=r"config\.ign"):
            guest.domain.create()
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        ignition.write_text("good")
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.create()


@pytest.mark.parametrize("name", ["image", pytest.param("qemu", marks=pytest.mark.more)])
def test_an_emulator_and_an_image_in_an_argument_do_not_start_changed(node: PrivateNode, name: str) -> None:
    """The emulator is a script that others than root can change; the image is read only.

    Libvirt takes seconds to find out about each new content of an emulator.
    """
    opened = node.daemon.folder / "open"
    opened.mkdir()
    opened.chmod(0o777)
    emulator, image = opened / "qemu", opened / "image"
    emulator.write_text(EMULATOR)
    emulator.chmod(0o755)
    image.write_bytes(bytes(65536))
    drive = f"id=beside,if=none,readonly=on,format=raw,file={image}"
    beside = (
        f"<q:commandline xmlns:q='{SPACE}'><q:arg value='-drive'/><q:arg value='{drive}'/></q:commandline>"
    )
    folder = node.daemon.folder / "sw"
    data = folder / "node"
    hook.install(node.daemon.hooks_dir, data, data / "gate.sock", node.daemon.folder / "in")
    node.restart()
    guest = node.define(Guest(node.guests, beside=beside))
    if name == "qemu":
        node.connection.defineXML(guest.guest.xml.replace("/usr/bin/qemu-system-x86_64", str(emulator)))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        assert sealward.sign(guest.server_id)["is_valid"] == "true"
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        guest.domain.create()
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.destroy()
        file = opened / name
        good = file.read_bytes()
        file.write_bytes(good + b"# evil")
        with pytest.raises(libvirt.libvirtError, match=f"open/{name}"):
            guest.domain.create()
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        file.write_bytes(good)
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.create()
