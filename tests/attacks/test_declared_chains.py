"""A chain of images that a domain declares is left out only where files are measured that say the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from lxml import etree
from nodes import PrivateNode, Running, private_node
from running import Running as Sealward
from running import running, until

from sealward.events.comparison.measurement import differing
from sealward.node_agent.gate import hook
from sealward.node_agent.measuring.measure import measure
from stack.guest import Guest, make_disk

BASE = "<backingStore type='file'><format type='raw'/><source file='/base'/><backingStore/></backingStore>"
EVIL = BASE.replace("/base", "/evil")
SLICE = BASE.replace(
    "<source file='/base'/>",
    "<source file='/base'><slices><slice type='storage' offset='512' size='512'/></slices></source>",
)
OTHER = BASE.replace("<source file='/base'/>", "<source file='/base'><encryption format='luks'/></source>")
PROBED = BASE.replace("<backingStore type='file'>", "<backingStore type='file' index='3'>")


def _domain(chain: str) -> str:
    disk = f"<disk type='file' device='disk'><source file='/disk'/>{chain}<target dev='vda'/></disk>"
    return f"<domain><name>a</name><devices>{disk}</devices></domain>"


def _sections(signed: str, found: str, *, is_measured: bool) -> set[str]:
    files = (lambda _: etree.Element("files")) if is_measured else None
    first, second = (
        (
            measure(_domain(one), None, "") if files is None else measure(_domain(one), None, "", files)
        ).measurement
        for one in (signed, found)
    )
    return {section for section, _ in differing(first, second)}


@pytest.mark.parametrize("chain", [BASE, EVIL, SLICE, OTHER, "<backingStore/>"])
def test_without_files_a_chain_that_was_not_there_is_a_difference(chain: str) -> None:
    """Nothing else would say that QEMU is made to follow it."""
    assert _sections("", chain, is_measured=False)
    assert _sections(BASE, chain, is_measured=False) or chain == BASE


@pytest.mark.parametrize(("chain", "differs"), [(BASE, False), (PROBED, False), (SLICE, True), (OTHER, True)])
def test_with_files_all_counts_that_they_do_not_say(chain: str, *, differs: bool) -> None:
    """Files have the layers by path, format and content; of a slice or a cipher they say nothing."""
    assert bool(_sections("", chain, is_measured=True)) == differs


def test_what_libvirt_probed_of_a_running_domain_is_no_difference() -> None:
    """The running form shows the chain of every image, where nobody measures files, too."""
    measured = measure(_domain(""), _domain(PROBED), "").measurement

    assert measured.live == {}
    assert differing(measure(_domain(""), None, "").measurement, measured) == ()


@pytest.fixture
def node(hypervisors: Path, known_of_qemu: Path) -> Iterator[PrivateNode]:
    """Yield a private libvirtd."""
    with private_node(hypervisors, "kvm-a", known_of_qemu) as one:
        yield one


@pytest.fixture
def gated(node: PrivateNode) -> Iterator[tuple[Sealward, Running]]:
    """Yield a Sealward that measures no files on a node that refuses, and a guest on a base image."""
    folder = node.daemon.folder / "sw"
    data = folder / "node"
    hook.install(node.daemon.hooks_dir, data, data / "gate.sock", node.daemon.folder / "in")
    node.restart()
    guest = Guest(node.guests)
    for name in ("base", "evil"):
        make_disk(node.guests / name, "raw")
    make_disk(guest.disk, backing=(node.guests / "base", "raw"))
    running_guest = node.define(guest)
    with running(folder, settings=node.settings(sweep_interval=1.0, files="no")) as sealward:
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        assert sealward.sign(guest.server_id)["is_valid"] == "true"
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        yield sealward, running_guest


def test_a_declared_chain_to_another_image_is_false_and_does_not_start(
    gated: tuple[Sealward, Running],
) -> None:
    """On a real libvirt; a running guest whose chain libvirt probed stays true."""
    sealward, guest = gated
    guest.domain.create()
    sealward.action("activate")
    assert sealward.is_valid(guest.server_id) == "true"
    guest.domain.destroy()
    evil = EVIL.replace("/evil", str(guest.node.guests / "evil"))
    guest.redefine("<target dev='vda'", f"{evil}<target dev='vda'")
    assert "/evil" in guest.config
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    found: list[dict[str, Any]] = sealward.verdict(guest.server_id)["findings"]

    assert {one["section"] for one in found} == {"files"}
    with pytest.raises(libvirt.libvirtError, match="not as it was signed"):
        guest.domain.create()
