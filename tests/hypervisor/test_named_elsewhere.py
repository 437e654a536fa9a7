"""What a domain names and libvirt keeps elsewhere, on a real libvirt: its content counts, not its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from nodes import PrivateNode, Running, watching
from running import until

from stack.guest import Guest

UUID = "<uuid>0c7a1f0e-0000-4000-8000-00000000000{}</uuid>"
PLAIN = f"<network><name>plain</name>{UUID.format(1)}"
NETWORK = PLAIN + "<forward mode='bridge'/><bridge name='{}'/></network>"
HANDING_OUT = (
    PLAIN
    + """<bridge name='br-field0'/><dns>{}</dns><ip address='10.9.8.1' netmask='255.255.255.0'>
<dhcp><range start='10.9.8.2' end='10.9.8.99'/></dhcp></ip></network>"""
)
HOST = "<host ip='10.9.8.7'><hostname>a</hostname></host>"
INCLUDED = (
    f"<filter name='field-low'>{UUID.format(2)}"
    "<rule action='{}' direction='in' priority='500'><all/></rule></filter>"
)
GUARD = "<filter name='field-guard'><filterref filter='field-low'/></filter>"
POOL = f"<pool type='dir'><name>images</name>{UUID.format(3)}" + "<target><path>{}</path></target></pool>"
CDROM = """<disk type='volume' device='cdrom'><driver name='qemu' type='raw'/>
<source pool='images' volume='ci.iso'/><target dev='sda' bus='sata'/><readonly/></disk>"""
ON_NETWORK = """<interface type='network'><mac address='fa:16:3e:99:00:01'/><source network='plain'/>
<model type='virtio'/></interface>"""
FILTERED = """<interface type='network'><mac address='fa:16:3e:99:00:02'/><source network='plain'/>
<model type='virtio'/><filterref filter='field-guard'/></interface>"""


@dataclass
class Elsewhere:
    """A node with a network, filters and a pool that a guest, which is off, names."""

    node: PrivateNode
    guest: Running
    folder: Path

    def iso(self, content: bytes, folder: str = "one") -> None:
        """Write the volume, in one of two folders."""
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / folder / "ci.iso").write_bytes(content.ljust(4096, b"\0"))

    def network(self, bridge: str) -> None:
        """Define the network, or define it anew."""
        self.node.connection.networkDefineXML(NETWORK.format(bridge))

    def filters(self, action: str) -> None:
        """Define the filter that the other filter includes."""
        self.node.connection.nwfilterDefineXML(INCLUDED.format(action))

    def pool(self, folder: str) -> None:
        """Have the pool be in another folder."""
        connection = self.node.connection
        for one in connection.listAllStoragePools():
            if one.isActive():
                one.destroy()
        connection.storagePoolDefineXML(POOL.format(self.folder / folder)).create()


@pytest.fixture
def elsewhere(node: PrivateNode) -> Elsewhere:
    """Return a node whose guest names a network, a filter and a volume."""
    guest = Guest(node.guests, extra=ON_NETWORK + FILTERED + CDROM)
    known = Elsewhere(node, Running(node, guest), node.guests)
    known.iso(b"first")
    known.iso(b"first", "two")
    known.network("br-field0")
    known.filters("drop")
    node.connection.nwfilterDefineXML(GUARD)
    known.pool("one")
    return replace(known, guest=node.define(guest))


CHANGES: dict[str, tuple[Callable[[Elsewhere], object], str]] = {
    "the network is moved to another bridge": (lambda one: one.network("br-field1"), "/network/plain"),
    "an included filter accepts all": (lambda one: one.filters("accept"), "/nwfilter/field-guard"),
    "the pool is another folder": (lambda one: one.pool("two"), "/pool/images"),
    "the content of the volume": (lambda one: one.iso(b"second"), "/volume/images/ci.iso:content"),
}
BACK: dict[str, Callable[[Elsewhere], object]] = {
    "the network is moved to another bridge": lambda one: one.network("br-field0"),
    "an included filter accepts all": lambda one: one.filters("drop"),
    "the pool is another folder": lambda one: one.pool("one"),
    "the content of the volume": lambda one: one.iso(b"first"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_domain_names_is_what_it_was_when_the_server_was_signed(
    elsewhere: Elsewhere, name: str
) -> None:
    """False until it is put back; the finding names the thing."""
    change, place = CHANGES[name]
    server_id = elsewhere.guest.server_id
    with watching(elsewhere.node, sweep_interval=0.5) as sealward:
        sealward.action("activate")
        sealward.sign(server_id)
        until(lambda: sealward.is_valid(server_id) == "true")
        change(elsewhere)
        until(lambda: sealward.is_valid(server_id) == "false")
        found = sealward.verdict(server_id)["findings"]
        BACK[name](elsewhere)
        until(lambda: sealward.is_valid(server_id) == "true")

    assert place in {one["xpath"] for one in found}
    assert {one["section"] for one in found} == {"named"}


def test_a_finding_says_to_which_bridge_a_network_was_moved(elsewhere: Elsewhere) -> None:
    """And to which folder a pool: digests say nothing to people."""
    server_id = elsewhere.guest.server_id
    with watching(elsewhere.node, sweep_interval=0.5) as sealward:
        sealward.action("activate")
        sealward.sign(server_id)
        elsewhere.network("br-field1")
        elsewhere.pool("two")
        places = {"/network-link/plain", "/pool-place/images"}
        until(lambda: places <= {one["xpath"] for one in sealward.verdict(server_id)["findings"]})
        found = {one["xpath"]: one for one in sealward.verdict(server_id)["findings"]}

    network, pool = found["/network-link/plain"], found["/pool-place/images"]
    assert (network["signed"], network["found"]) == ("bridge br-field0", "bridge br-field1")
    assert (network["code"], network["class"]) == ("network-link-redefined", "bound")
    assert pool["found"] == f"dir {elsewhere.folder / 'two'}"
    assert "br-field1" in network["message"]


def test_what_a_network_hands_out_is_no_change(elsewhere: Elsewhere) -> None:
    """Tools write a name and an address for each server that they make."""
    server_id = elsewhere.guest.server_id
    elsewhere.node.connection.networkDefineXML(HANDING_OUT.format(""))
    with watching(elsewhere.node, sweep_interval=0.5) as sealward:
        sealward.action("activate")
        sealward.sign(server_id)
        elsewhere.node.connection.networkDefineXML(HANDING_OUT.format(HOST))
        task = sealward.ask("POST", f"/v1/sign/{server_id}/validate").json["task_id"]
        until(lambda: sealward.task(task)["state"] == "SUCCESS")

        assert sealward.is_valid(server_id) == "true"
