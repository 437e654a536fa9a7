"""Another volume behind the path of a block device, on a real libvirt: path and serial are the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest
from nodes import PrivateNode
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import Guest

BLOCK = """<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='{}'/>
<target dev='vdx' bus='virtio'/><serial>5e41a1</serial></disk>"""


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """Yield a block device, and what puts another one in its place."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(bytes(4 * 1024 * 1024))

    def call(*words: str) -> str:
        return subprocess.run(  # noqa: S603 - our own words
            ["losetup", *words],  # noqa: S607 - of the system
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout.strip()

    try:
        device = call("-f", "--show", str(tmp_path / "one"))
    except (OSError, subprocess.CalledProcessError) as refused:
        pytest.skip(f"no loop devices here: {refused}")

    def exchange(name: str) -> None:
        call("-d", device)
        call(device, str(tmp_path / name))

    yield device, exchange
    call("-d", device)


def test_another_volume_behind_the_same_path_is_false_and_does_not_start(
    node: PrivateNode, loop: tuple[str, Callable[[str], None]]
) -> None:
    """On a real libvirt, with a real device: false until the signed volume is back."""
    device, exchange = loop
    folder = node.daemon.folder / "sw"
    agent = folder / "node"
    hook.install(node.daemon.hooks_dir, agent, agent / "gate.sock", node.daemon.folder / "in")
    node.restart()
    guest = node.define(replace(Guest(node.guests), extra=BLOCK.format(device)))
    with running(folder, settings=node.settings(sweep_interval=0.5)) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        sealward.sign(guest.server_id)
        sealward.action("activate")
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        exchange("two")
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        found = sealward.verdict(guest.server_id)["findings"]
        with pytest.raises(libvirt.libvirtError, match="not as it was signed"):
            guest.domain.create()
        exchange("one")
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.create()

    assert [(one["section"], one["xpath"]) for one in found] == [("device", "/device/disk/vdx:here")]
    assert found[0]["found"].startswith("loop /")
