"""What is changed while a server is false already: it is seen, and no administrator signs it unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from running import WEB, Running, running, until

from sealward.events.comparison.measurement import Measurement
from sealward.settings import Settings

DISK = f"/var/lib/nova/instances/{WEB}/disk"
OTHER = f"/var/lib/nova/instances/{WEB}/other"
NOTE = "<description>password=first</description>"
CHANGES = {
    "a path of a disk, again": (OTHER, f"{OTHER}-2"),
    "host-bound: another bridge": ("<source bridge='", "<source bridge='x"),
    "host-bound: another address of the console": ("='0.0.0.0'", "='127.0.0.9'"),
    "host-bound: how memory is backed": (
        "<vcpu ",
        "<memoryBacking><nosharepages/></memoryBacking><vcpu ",
    ),
    "another secret of the same place": ("password=first", "password=second"),
}


@pytest.fixture
def sealward(tmp_path: Path) -> Iterator[Running]:
    """Run a Sealward whose first server is signed."""
    with running(tmp_path, settings=Settings(sweep_interval=0.3)) as one:
        xml = one.fleet.xml(WEB)
        one.fleet.define(xml.replace("</name>", f"</name>{NOTE}", 1))
        one.sign()
        yield one


def false_events(sealward: Running) -> list[dict[str, object]]:
    """Return the false verdicts that are in the log."""
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    said = [one["data"] for one in events if one["type"] == "sign.validated"]
    return [one for one in said if one["is_valid"] == "false"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_false_server_is_an_event_and_another_etag(sealward: Running, name: str) -> None:
    """A PUT for what was looked at before is refused, also where both findings read alike."""
    sealward.fleet.replace(WEB, DISK, OTHER)
    if "secret" in name:
        sealward.fleet.replace(WEB, "password=first", "password=zeroth")
        until(lambda: any("***" in str(one) for one in sealward.verdict()["findings"]))
    until(lambda: sealward.is_valid() == "false")
    looked_at = sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"]
    before = len(false_events(sealward))

    old, new = CHANGES[name]
    sealward.fleet.replace(WEB, "password=zeroth" if "secret" in name else old, new)
    until(lambda: len(false_events(sealward)) > before)
    answer = sealward.ask("PUT", "/v1/sign", {"server_id": WEB}, headers={"If-Match": looked_at})

    assert sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"] != looked_at
    assert answer.status == 412, answer.body
    assert sealward.is_valid() == "false"


def test_host_bound_findings_stand_beside_the_others(sealward: Running) -> None:
    """Each once, in its section."""
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    sealward.fleet.replace(WEB, "='0.0.0.0'", "='127.0.0.9'")
    until(lambda: len(sealward.verdict()["findings"]) > 1)
    found = sealward.verdict()["findings"]

    assert {one["section"] for one in found} >= {"disks", "graphics"}
    places = [(one["xpath"], one["form"]) for one in found]
    assert len(places) == len(set(places))


def test_a_look_at_the_same_again_is_no_event(sealward: Running) -> None:
    """Sweeps go on, and tell nothing twice."""
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    events = len(false_events(sealward))
    tag = sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"]
    task = sealward.action("activate")

    assert sealward.task(task)["state"] == "SUCCESS"
    assert len(false_events(sealward)) == events
    assert sealward.ask("GET", f"/v1/sign/{WEB}").headers["etag"] == tag


BASE = Measurement(
    "libvirt-domain/2", {"boot": "aa"}, {"boot": "bb"}, "libvirt 9.0.0", {"config": "cc"}, doors=()
)
OTHERS = {
    "profile": replace(BASE, profile="libvirt-domain/1"),
    "sections": replace(BASE, sections={"boot": "ab"}),
    "live": replace(BASE, live={}),
    "host_bound": replace(BASE, host_bound={"config": "cc", "live": "dd"}),
    "doors": replace(BASE, doors=("/domain/devices/graphics: listens on every address",)),
    "hidden_doors": replace(BASE, hidden_doors=("/domain: one",)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_fingerprint_covers_every_part(name: str) -> None:
    """Each part of a measurement changes the fingerprint."""
    assert OTHERS[name].fingerprint != BASE.fingerprint


def test_the_fingerprint_is_no_version_of_libvirt() -> None:
    """An upgrade by itself is no finding about a server."""
    assert replace(BASE, hypervisor="libvirt 11.3.0").fingerprint == BASE.fingerprint
