"""Strict and host-bound: what a move to another node rewrites is learned after it, and strict before."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from sealward.events.comparison.binding import AS_SIGNED, Binding, is_news, is_violated, strays
from sealward.events.comparison.measurement import Measurement, differing
from sealward.node_agent.measuring.findings import findings, host_bound_findings
from sealward.node_agent.measuring.measure import Measured, measure

DOMAIN = """<domain type='kvm'>
  <name>instance-1</name>
  <memory>1024</memory>
  {memory_backing}
  <vcpu placement='static'{cpuset}>2</vcpu>
  {tuning}
  <perf><event name='cmt' enabled='{perf}'/></perf>
  <devices>
    <disk type='block'><source dev='{volume}'/><target dev='vda'/><serial>{serial}</serial></disk>
    <disk type='block' device='disk'><source dev='/dev/vg/local'/><target dev='vdb'/></disk>
    <disk type='network' device='disk'>
      <source protocol='rbd' name='volumes/volume-2'><host name='{monitor}' port='6789'/></source>
      <target dev='vdc'/><serial>2</serial>
    </disk>
    <interface type='bridge'><mac address='fa:16:3e:00:00:01'/><source bridge='{bridge}'/></interface>
    <serial type='tcp'><source mode='bind' host='{listen}' service='{port}'/></serial>
    <graphics type='vnc' port='-1' autoport='yes' listen='{listen}'>
      <listen type='address' address='{listen}'/>
    </graphics>
    <hostdev type='mdev' model='vfio-pci'><source><address uuid='{mdev}'/></source></hostdev>
    <memory model='nvdimm'><source><path>{nvdimm}</path></source></memory>
  </devices>
</domain>"""
HERE = {
    "memory_backing": "<memoryBacking><locked/><source type='memfd'/><access mode='shared'/></memoryBacking>",
    "cpuset": " cpuset='0-3'",
    "tuning": (
        "<cputune><shares>1024</shares><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='0'/></cputune>"
        "<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' nodeset='0'/></numatune>"
    ),
    "perf": "yes",
    "volume": "/dev/disk/by-path/ip-10.0.0.1",
    "serial": "1",
    "monitor": "10.0.0.1",
    "bridge": "qbr1",
    "listen": "10.0.0.1",
    "port": "10000",
    "mdev": "0c7a1f0e-0000-4000-8000-000000000001",
    "nvdimm": "/dev/dax0.0",
}
THERE = {
    "memory_backing": "<memoryBacking><locked/><source type='anonymous'/></memoryBacking>",
    "cpuset": "",
    "tuning": (
        "<cputune><vcpupin vcpu='0' cpuset='5'/><emulatorpin cpuset='4'/></cputune>"
        "<numatune><memory mode='strict' nodeset='1'/><memnode cellid='0' nodeset='1'/></numatune>"
    ),
    "perf": "no",
    "volume": "/dev/disk/by-path/ip-10.0.0.2",
    "serial": "1",
    "monitor": "10.0.0.2",
    "bridge": "qbr2",
    "listen": "10.0.0.2",
    "port": "10007",
    "mdev": "0c7a1f0e-0000-4000-8000-000000000002",
    "nvdimm": "/dev/dax1.0",
}
HOST_BOUND = sorted(HERE.keys() - {"serial"})
SNAPSHOT = Path(__file__).parent.parent / "assets" / "domains" / "real1-qemu.5-snap.inactive.xml"


def _measured(**values: str) -> Measured:
    return measure(DOMAIN.format(**HERE | values), None, "")


@pytest.mark.parametrize("name", HOST_BOUND)
def test_what_nova_rewrites_at_a_move_is_no_difference(name: str) -> None:
    """One by one: the strict digest stays, the host-bound one does not, and the finding shows both values."""
    signed, found = _measured(), _measured(**{name: THERE[name]})
    explained = host_bound_findings(signed.evidence(), found.evidence())

    assert differing(signed.measurement, found.measurement) == ()
    assert signed.measurement.digest == found.measurement.digest
    assert is_violated(signed.measurement, AS_SIGNED, found.measurement)
    assert is_news(signed.measurement, Binding(is_open=True), found.measurement)
    assert explained
    assert all(one.signed != one.found for one in explained)


def test_a_whole_move_is_no_difference() -> None:
    """All of it at once, as get_updated_guest_xml does."""
    signed, found = _measured(), _measured(**THERE)

    assert differing(signed.measurement, found.measurement) == ()
    assert len(host_bound_findings(signed.evidence(), found.evidence())) >= len(HOST_BOUND)


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ("<serial>1</serial>", "<serial>9</serial>", "disks"),
        ("<locked/>", "", "memory"),
        ("/dev/vg/local", "/dev/vg/other", "disks"),
        ("volumes/volume-2", "volumes/volume-3", "disks"),
        ("<vcpupin vcpu='0' cpuset='1'/>", "", "tuning"),
        ("placement='static'", "placement='auto'", "tuning"),
        ("type='bridge'", "type='direct'", "interfaces"),
        ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "interfaces"),
        ("type='tcp'", "type='udp'", "devices"),
        ("autoport='yes'", "autoport='no'", "graphics"),
        ("model='nvdimm'", "model='dimm'", "devices"),
    ],
)
def test_the_rest_of_the_same_elements_is_strict(old: str, new: str, section: str) -> None:
    """Another volume, another kind of port, no pinning at all: these are changes of the server."""
    text = DOMAIN.format(**HERE)
    signed, found = _measured(), measure(text.replace(old, new), None, "")
    pairs = differing(signed.measurement, found.measurement)
    explained = findings(signed.evidence(), found.evidence(), pairs)

    assert pairs == ((section, "config"),)
    assert {one.section for one in explained} == {section}


def test_findings_about_a_violation_leave_host_bound_parts_out() -> None:
    """A server that moved and was changed is explained by the change alone."""
    signed = _measured()
    found = measure(DOMAIN.format(**HERE | THERE).replace("<memory>1024", "<memory>2048"), None, "")
    pairs = differing(signed.measurement, found.measurement)

    assert [one.xpath for one in findings(signed.evidence(), found.evidence(), pairs)] == [
        "/domain/memory/text()"
    ]


def test_a_running_form_that_comes_and_goes_is_accounted_for() -> None:
    """A server that was received, and is stopped and started again, has nothing new to say."""
    config, live = DOMAIN.format(**HERE), DOMAIN.format(**HERE | {"listen": "10.0.0.9"})
    signed = measure(config, None, "").measurement
    running, stopped = measure(config, live, "").measurement, measure(config, None, "").measurement
    received = Binding(running.host_bound)

    assert strays(signed, AS_SIGNED, running) == ("live",)
    assert strays(signed, received, stopped) == strays(signed, received, running) == ()


def test_after_a_move_what_was_signed_elsewhere_counts_no_more() -> None:
    """The same path on the new node can be another volume: in either form, alone or with the recorded one."""
    here, there = DOMAIN.format(**HERE), DOMAIN.format(**HERE | {"volume": THERE["volume"]})
    signed = measure(here, None, "").measurement
    moved = Binding(measure(there, None, "").measurement.host_bound)

    assert strays(signed, moved, measure(there, there, "").measurement) == ()
    assert strays(signed, moved, measure(here, None, "").measurement) == ("config",)
    assert strays(signed, moved, measure(here, here, "").measurement) == ("config",)
    assert strays(signed, moved, measure(there, here, "").measurement) == ("live",)
    assert strays(signed, moved, measure(here, there, "").measurement) == ("config",)


def test_a_move_that_rewrites_the_running_form_alone_leaves_the_signed_one_good() -> None:
    """The persistent form came as it was signed: a cold start on the new node makes of it what was signed."""
    here, there = DOMAIN.format(**HERE), DOMAIN.format(**HERE | {"listen": "10.0.0.9"})
    signed = measure(here, None, "").measurement
    moved = Binding(measure(here, there, "").measurement.host_bound)

    assert strays(signed, moved, measure(here, there, "").measurement) == ()
    assert strays(signed, moved, measure(here, here, "").measurement) == ()
    assert strays(signed, moved, measure(there, None, "").measurement) == ()


def test_a_running_form_that_was_signed_counts_where_the_persistent_form_is_the_signed_one() -> None:
    """The server was signed while it ran otherwise than it was defined, and was moved while it was off."""
    config, live = DOMAIN.format(**HERE), DOMAIN.format(**HERE | {"listen": "10.0.0.9"})
    signed = measure(config, live, "").measurement
    moved = Binding(measure(config, None, "").measurement.host_bound)

    assert strays(signed, moved, measure(config, live, "").measurement) == ()


def test_the_chain_that_a_snapshot_leaves_behind_is_noise_but_its_source_is_not() -> None:
    """After an external snapshot the persistent form has a backingStore; what is red is the new source.

    The chain is noise where files are measured, for they say all of it. Elsewhere it counts.
    """
    xml = SNAPSHOT.read_text()
    start, end = xml.index("<backingStore"), xml.index("</backingStore>") + len("</backingStore>")

    bare = xml[:start] + xml[end:]

    assert _with_files(xml) == _with_files(bare)
    assert _with_files(xml) != _with_files(xml.replace("disk.s1", "disk"))
    unmeasured = [measure(one, None, "").measurement for one in (bare, xml)]
    assert differing(*unmeasured) == (("files", "config"),)


def _with_files(xml: str) -> Measurement:
    return measure(xml, None, "", lambda _: etree.Element("files")).measurement
