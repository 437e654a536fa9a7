"""An evil boot file under another libvirt than that of the reference, on a real libvirtd with the gate."""

from __future__ import annotations

from dataclasses import replace

import libvirt
import pytest
from nodes import PrivateNode
from running import running, until

from sealward.node_agent.gate import hook
from sealward.node_agent.hypervisor import connection
from stack.guest import Guest


def test_a_new_libvirt_hides_no_evil_initrd(node: PrivateNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is false and does not start; put back, it starts under the new libvirt as it was signed."""
    folder = node.daemon.folder / "sw"
    gate = folder / "node" / "gate.sock"
    hook.install(node.daemon.hooks_dir, folder / "node", gate, node.daemon.folder / "in")
    node.restart()
    guest = node.define(replace(Guest(node.guests), boots=True))
    settings = node.settings(sweep_interval=1.0)
    with monkeypatch.context() as older:
        older.setattr(connection, "version_of", lambda _: "libvirt 8.10.0")
        with running(folder, settings=settings) as sealward:
            until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
            assert sealward.sign(guest.server_id)["is_valid"] == "true"
            position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"][
                "position"
            ]
            until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
    with running(folder, settings=settings) as sealward:
        sealward.action("activate")
        assert sealward.is_valid(guest.server_id) == "true"
        signed = guest.guest.initrd.read_bytes()
        guest.guest.initrd.write_bytes(signed + b"evil")
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        with pytest.raises(libvirt.libvirtError) as refused:
            guest.domain.create()
        guest.guest.initrd.write_bytes(signed)
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.create()

        assert "initrd" in str(refused.value)
        assert guest.domain.isActive()
