"""What the other tests stand on: private nodes, guests that run and boot, and Sealward watching them."""

from __future__ import annotations

import libvirt
import pytest
from nodes import PrivateNode, Running, watching
from running import until

from stack.libvirtd import Libvirtd


def test_a_signed_guest_is_true_and_a_changed_one_false(guest: Running) -> None:
    """From a real QEMU guest to GET, and the finding says what changed."""
    with watching(guest.node) as sealward:
        assert sealward.sign(guest.server_id)["is_valid"] == "true"
        guest.redefine("qemu64", "qemu32")
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        (finding,) = sealward.verdict(guest.server_id)["findings"]

    assert (finding["section"], finding["signed"], finding["found"]) == ("cpu", "qemu64", "qemu32")


def test_a_guest_boots_its_own_kernel(booted: Running) -> None:
    """The initrd is one that Linux unpacks, and its console is in a file."""
    booted.wait_booted()


def test_a_guest_outlives_its_daemon(guest: Running) -> None:
    """As it does when libvirt is upgraded."""
    before = guest.domain.ID()
    guest.node.restart()

    assert guest.domain.isActive()
    assert guest.domain.ID() == before


def test_two_nodes_know_nothing_of_each_other(two_nodes: tuple[PrivateNode, PrivateNode]) -> None:
    """Other host names, other domains; both are warm."""
    assert [one.connection.getHostname() for one in two_nodes] == ["kvm-a", "kvm-b"]
    assert all(isinstance(one.daemon, Libvirtd) for one in two_nodes)


def test_the_read_only_socket_lets_look_alone(guest: Running) -> None:
    """An agent there can neither stop a guest nor see passwords."""
    connection = libvirt.openReadOnly(guest.node.daemon.read_only_uri)
    domain = connection.lookupByUUIDString(guest.server_id)
    with pytest.raises(libvirt.libvirtError, match="read only"):
        domain.destroy()
    with pytest.raises(libvirt.libvirtError, match="forbidden"):
        domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    connection.close()
