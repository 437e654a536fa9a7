"""What a move may rewrite is strict while nothing moves; what opens a server to others is never learned."""

from __future__ import annotations

import pytest

from sealward.events.comparison.binding import AS_SIGNED, Binding, doors_opened, is_violated
from sealward.node_agent.gate.decision.judge import Reason, of_difference
from sealward.node_agent.measuring.doors import BEYOND, EVERYBODY, reach_of
from sealward.node_agent.measuring.measure import measure

ANY = "0.0.0.0"  # noqa: S104 - nobody binds to it
DOMAIN = """<domain type='kvm'>
  <name>instance-1</name><uuid>5a5a0000-0000-4000-8000-000000000001</uuid>
  <memory>1024</memory>
  <memoryBacking><nosharepages/><locked/><access mode='private'/></memoryBacking>
  <vcpu placement='static' cpuset='0-3'>2</vcpu>
  <cputune><shares>1024</shares><vcpupin vcpu='0' cpuset='1'/></cputune>
  <perf><event name='cmt' enabled='no'/></perf>
  <devices>
    <disk type='block'><source dev='/dev/dm-1'/><target dev='vda'/><serial>volume-1</serial></disk>
    <disk type='network'>
      <source protocol='rbd' name='volumes/volume-2'><host name='10.0.0.1' port='6789'/></source>
      <target dev='vdb'/><serial>2</serial>
    </disk>
    <interface type='bridge'><mac address='fa:16:3e:00:00:01'/><source bridge='qbr1'/></interface>
    <interface type='vhostuser'>
      <mac address='fa:16:3e:00:00:02'/><source type='unix' path='/run/vhu1' mode='server'/>
    </interface>
    <interface type='hostdev'>
      <mac address='fa:16:3e:00:00:03'/><source><address type='pci' bus='0x01' slot='0x02'/></source>
    </interface>
    <serial type='tcp'><source mode='bind' host='127.0.0.1' service='10000'/></serial>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'>
      <listen type='address' address='127.0.0.1'/>
    </graphics>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'>
      <source><address uuid='0c7a1f0e-0000-4000-8000-000000000001'/></source>
    </hostdev>
    <memory model='nvdimm'><source><path>/dev/dax0.0</path></source></memory>
  </devices>
</domain>"""
MOVED = {
    "another block device behind the same serial": ("/dev/dm-1", "/dev/dm-2"),
    "another monitor of a cluster": ("10.0.0.1", "10.0.0.2"),
    "another bridge": ("qbr1", "qbr2"),
    "another vhost-user socket": ("/run/vhu1", "/run/vhu2"),
    "another virtual function": ("slot='0x02'", "slot='0x03'"),
    "another mediated device": (
        "0c7a1f0e-0000-4000-8000-000000000001",
        "0c7a1f0e-0000-4000-8000-000000000002",
    ),
    "another file behind a persistent memory": ("/dev/dax0.0", "/etc/shadow"),
    "another port of a serial console": ("10000", "10001"),
    "other processors": ("cpuset='0-3'", "cpuset='4-7'"),
    "another pinning": ("cpuset='1'", "cpuset='2'"),
    "other shares": ("<shares>1024</shares>", "<shares>2</shares>"),
    "a performance counter": ("enabled='no'", "enabled='yes'"),
}
OPENED = {
    "a console on every address": ("address='127.0.0.1'", "address='0.0.0.0'"),
    "a console on every address, by attribute": ("listen='127.0.0.1'", "listen='0.0.0.0'"),
    "a console on every address of IPv6": ("address='127.0.0.1'", "address='::'"),
    "a console on every address, in another form": ("address='127.0.0.1'", "address='0'"),
    "a console on no address at all": ("address='127.0.0.1'", "address=''"),
    "a console beyond the node": ("address='127.0.0.1'", "address='10.0.0.7'"),
    "a console at a name": ("address='127.0.0.1'", "address='evil.example.org'"),
    "a serial console on every address": ("host='127.0.0.1'", "host='0.0.0.0'"),
    "memory as a file": ("<access mode='private'/>", "<source type='file'/>"),
    "memory as an anonymous file": ("<access mode='private'/>", "<source type='memfd'/>"),
    "memory that is shared": ("mode='private'", "mode='shared'"),
    "pages that may be merged with those of others": ("<nosharepages/>", ""),
    "memory that may be swapped out": ("<locked/>", ""),
}
SIGNED = measure(DOMAIN, None, "libvirt 9.0.0").measurement


@pytest.mark.parametrize("name", MOVED | OPENED)
def test_while_nothing_moves_it_is_a_violation_and_does_not_start(name: str) -> None:
    """Each part of a console, found by each libvirt."""
    found = measure(DOMAIN.replace(*(MOVED | OPENED)[name]), None, "libvirt 9.0.0").measurement
    upgraded = measure(DOMAIN.replace(*(MOVED | OPENED)[name]), None, "libvirt 9.0.1").measurement

    assert is_violated(SIGNED, AS_SIGNED, found)
    assert of_difference(SIGNED, found, (), AS_SIGNED) is Reason.DIFFERS
    assert of_difference(SIGNED, upgraded, (), AS_SIGNED) is Reason.DIFFERS


@pytest.mark.parametrize("name", MOVED)
def test_after_a_move_it_is_what_the_new_node_decides(name: str) -> None:
    """Once: then it is strict again."""
    found = measure(DOMAIN.replace(*MOVED[name]), None, "libvirt 9.0.0").measurement

    assert not is_violated(SIGNED, Binding(is_open=True), found)
    assert not is_violated(SIGNED, Binding(found.host_bound), found)
    assert of_difference(SIGNED, found, (), Binding(is_open=True)) is None


@pytest.mark.parametrize("name", OPENED)
def test_a_door_is_never_learned(name: str) -> None:
    """A move rewrites addresses; it makes no server listen to everybody, and shares no memory."""
    found = measure(DOMAIN.replace(*OPENED[name]), None, "libvirt 9.0.0").measurement

    assert doors_opened(SIGNED, found)
    assert is_violated(SIGNED, Binding(is_open=True), found)
    assert of_difference(SIGNED, found, (), Binding(is_open=True)) is Reason.DIFFERS


@pytest.mark.parametrize("name", OPENED)
def test_a_door_that_is_shut_by_a_move_is_no_violation(name: str) -> None:
    """Signed open, found shut."""
    signed = measure(DOMAIN.replace(*OPENED[name]), None, "libvirt 9.0.0").measurement

    assert not is_violated(signed, Binding(is_open=True), SIGNED)


def test_a_door_in_the_running_form_alone_is_one() -> None:
    """What is opened while a server runs is in no definition."""
    live = DOMAIN.replace("mode='private'", "mode='shared'")
    found = measure(DOMAIN, live, "libvirt 9.0.0").measurement

    assert is_violated(SIGNED, Binding(is_open=True), found)


def test_a_console_on_a_libvirt_network_has_its_address_at_each_start() -> None:
    """The definition has none; that it can be reached beyond the node is known without it."""
    network = DOMAIN.replace(" listen='127.0.0.1'", "").replace(
        "type='address' address='127.0.0.1'", "type='network' network='default'"
    )
    live = network.replace("network='default'", "address='192.168.122.1' network='default'").replace(
        "autoport='yes'", "autoport='yes' listen='192.168.122.1'"
    )
    signed = measure(network, None, "").measurement

    assert not is_violated(signed, AS_SIGNED, measure(network, live, "").measurement)
    assert doors_opened(SIGNED, signed)


@pytest.mark.parametrize(
    ("reach", "addresses"),
    [
        (
            None,
            ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"),
        ),
        (BEYOND, ("10.0.0.1", "fe80::1%eth0", "2001:db8::1")),
        (
            EVERYBODY,
            (ANY, "::", "[::]", "0", "0.0", "", " ", "0x0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"),
        ),
        (
            EVERYBODY,
            ("*", "evil.example.org", "127.0.0.1.evil.org", "127.evil.org", "1", "localhost.", "0177.0.0.1"),
        ),
    ],
)
def test_whom_an_address_reaches(reach: str | None, addresses: tuple[str, ...]) -> None:
    """What is no plain address counts as the worst that it can be."""
    assert {one: reach_of(one) for one in addresses} == dict.fromkeys(addresses, reach)
