"""A server that nobody signed, with the name or a disk of a signed one: it would start in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gated import Gated, gated_node
from running import WEB, until

from sealward.node_agent.gate.decision import dossier
from sealward.node_agent.measuring.belongings import had_by, of_evidence, places
from sealward.node_agent.measuring.canonical import parse
from sealward.node_agent.measuring.measure import measure

OTHER = "5a5a0000-0000-4000-8000-00000000000f"
NAME = "instance-00000068"
REFUSED = "has the name or the boot disk of a signed server"


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """Yield a node that refuses."""
    with gated_node(tmp_path) as made:
        yield made


def server_policy(gated: Gated, **what: str) -> None:
    """Set the policy of the signed server, and wait until the ledger has it."""
    gated.sealward.ask("PUT", f"/v1/sign/{WEB}/policy", what)
    until(lambda: gated.sealward.embedded.agent.policies.of(WEB).policy.on_start == what["on_start"])


def reasons(gated: Gated, kind: str) -> list[str]:
    """Return the reasons of the events about starts."""
    events = gated.sealward.ask("GET", f"/v1/events?type={kind}").json["events"]
    return [one["data"]["reason"] for one in events]


def renamed(xml: str) -> str:
    """Return the XML under another UUID, name and disk."""
    return xml.replace(WEB, OTHER).replace(NAME, "another")


def same_name(xml: str) -> str:
    """Return the XML of another server with the same name."""
    return xml.replace(WEB, OTHER)


def same_disk(xml: str) -> str:
    """Return the XML of another server with the same disk."""
    return re.sub(rf"(?<!instances/){WEB}", OTHER, xml).replace(NAME, "another")


def same_disk_in_other_words(xml: str) -> str:
    """Return the same with a path that is written otherwise."""
    return same_disk(xml).replace("/var/lib/nova", "/var/./lib//x/../nova")


def same_disk_as_a_device(xml: str) -> str:
    """Return the same with a link to the disk, as the device of a disk."""
    link = Path("/tmp") / f"sealward-{OTHER}"  # noqa: S108 - it is made below
    link.unlink(missing_ok=True)
    link.symlink_to(f"/var/lib/nova/instances/{WEB}/disk")
    file = f"file='/var/lib/nova/instances/{WEB}/disk'"
    return same_disk(xml).replace(file, f"dev='{link}'").replace("<disk type='file'", "<disk type='block'")


TAKING = [same_name, same_disk, same_disk_in_other_words, same_disk_as_a_device]


@pytest.mark.parametrize("taking", TAKING)
def test_it_does_not_start(gated: Gated, taking: Callable[[str], str]) -> None:
    """With the agent and without; another server with a name and a disk of its own does."""
    xml = taking(gated.xml)
    with_agent, other = gated.starts(xml), gated.starts(renamed(gated.xml))
    until(lambda: "place-taken" in reasons(gated, "start.refused"))
    gated.sealward.embedded.agent.stop()
    alone, other_alone = gated.starts(xml), gated.starts(renamed(gated.xml))
    Path(f"/tmp/sealward-{OTHER}").unlink(missing_ok=True)  # noqa: S108 - as above

    assert (with_agent.returncode, other.returncode) == (1, 0)
    assert (alone.returncode, other_alone.returncode) == (1, 0)
    assert REFUSED in with_agent.stderr
    assert REFUSED in alone.stderr
    assert WEB in alone.stderr


def test_the_policy_is_that_of_the_signed_server(gated: Gated) -> None:
    """Where that is only observed, the start is recorded."""
    server_policy(gated, on_start="observe")
    observed = gated.starts(same_name(gated.xml))
    until(lambda: "place-taken" in reasons(gated, "start.tolerated"))
    gated.sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "observe"})
    server_policy(gated, on_start="refuse")
    refused = gated.starts(same_name(gated.xml))

    assert (observed.returncode, refused.returncode) == (0, 1)


def test_what_belonged_to_a_server_is_free_when_nobody_signs_it_any_more(gated: Gated) -> None:
    """Or when it was signed with another disk."""
    gated.sealward.fleet.replace(WEB, "/disk'", "/new'")
    assert gated.sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).status == 200
    until(lambda: (entry := dossier.read(str(gated.node), WEB).entry) is not None and entry.generation == 2)
    until(lambda: gated.starts(same_disk(gated.xml)).returncode == 0)
    assert gated.starts(same_disk(gated.xml).replace("/disk'", "/new'")).returncode == 1
    assert gated.sealward.ask("DELETE", f"/v1/sign/{WEB}").status == 204
    until(lambda: dossier.read(str(gated.node), WEB).entry is None)

    assert gated.starts(same_name(gated.xml)).returncode == 0


def test_disks_that_several_servers_may_have_belong_to_nobody() -> None:
    """Those that are read only or shareable, or no disks; and devices whose path is given out again."""
    disks = (
        "<disk device='cdrom'><source file='/iso'/></disk>",
        "<disk><source file='/base'/><readonly/></disk>",
        "<disk><source file='/shared'/><shareable/></disk>",
        "<disk device='floppy'><source file='/floppy'/></disk>",
        "<disk type='vhostuser'><source path='/socket'/></disk>",
        "<disk type='block'><source dev='/dev/sdb'/></disk>",
        "<disk/>",
    )
    assert had_by(parse(domain(*disks))) == {"name n"}


def test_what_belongs_to_a_signed_server_is_its_name_and_the_disk_that_it_boots_from() -> None:
    """Other disks may be attached to another server before the first is signed anew."""
    disks = {
        "file /root": "<disk><source file='/root'/></disk>",
        "network rbd/vms/1": "<disk type='network'><source protocol='rbd' name='vms/1'/></disk>",
        "volume p/v": "<disk type='volume'><source pool='p' volume='v'/></disk>",
        "block /dev/disk/by-id/x": "<disk type='block' device='lun'><source dev='/dev/disk/by-id/x'/></disk>",
        "serial volume-1": "<disk type='block'><source dev='/dev/sdb'/><serial>volume-1</serial></disk>",
    }
    first = disks["serial volume-1"].replace("</disk>", "<boot order='1'/></disk>")
    second = disks["volume p/v"].replace("</disk>", "<boot order='2'/></disk>")

    assert had_by(parse(domain(*disks.values()))) == {"name n", *disks}
    for told, disk in disks.items():
        assert of_evidence(measure(domain(disk, *disks.values()), None, "").evidence()) == {"name n", told}
    ordered = measure(domain(disks["file /root"], second, first), None, "")
    assert of_evidence(ordered.evidence()) == {"name n", "serial volume-1"}


def test_odd_evidence_and_orders_break_nothing() -> None:
    """They are written by a node."""
    assert of_evidence(b"damaged") == frozenset()
    odd = domain("<disk><source file='/x'/><boot order='99999999999999999999'/></disk>")
    assert had_by(parse(odd)) == {"name n", "file /x"}
    assert places(frozenset({"file /dev/x"})) == {"file /dev/x", "block /dev/x", "dir /dev/x"}


def domain(*disks: str) -> str:
    """Return a domain with disks."""
    return f"<domain><name>n</name><devices>{''.join(disks)}</devices></domain>"
