"""Files that arguments of QEMU name, and the emulator, are measured as others are, on a real libvirtd."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from nodes import PrivateNode
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import Guest
from stack.libvirtd import Libvirtd

EMULATOR = '#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n'
SPACE = "http://libvirt.org/schemas/domain/qemu/1.0"


@pytest.fixture
def node(hypervisors: Path) -> Iterator[PrivateNode]:
    """Yield a private libvirtd."""
    folder = Path(tempfile.mkdtemp(prefix="kvm-a-", dir=hypervisors))
    daemon = Libvirtd(folder, "kvm-a")
    one = PrivateNode(daemon)
    try:
        daemon.start()
        yield one
    finally:
        one.close()
        daemon.close()
        shutil.rmtree(folder, ignore_errors=True)


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


def test_an_emulator_and_an_image_in_an_argument_do_not_start_changed(node: PrivateNode) -> None:
    """The emulator is a script that others than root can change; the image is read only."""
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
    node.connection.defineXML(guest.guest.xml.replace("/usr/bin/qemu-system-x86_64", str(emulator)))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        assert sealward.sign(guest.server_id)["is_valid"] == "true"
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        guest.domain.create()
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.destroy()
        for file, name in ((emulator, "open/qemu"), (image, "open/image")):
            good = file.read_bytes()
            file.write_bytes(good + b"# evil")
            with pytest.raises(libvirt.libvirtError, match=name):
                guest.domain.create()
            until(lambda: sealward.is_valid(guest.server_id) == "false")
            file.write_bytes(good)
            until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.create()
