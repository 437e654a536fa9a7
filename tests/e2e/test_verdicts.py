"""The rules of the verdict, from libvirt to GET: nothing launders a false, and no true outlives its proof."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from running import BATCH, DATABASE, WEB, Running, running, until

from sealward.node_agent.hypervisor import connection
from sealward.node_agent.hypervisor.fleet import SampleFleet
from sealward.settings import Settings

DISK = f"/var/lib/nova/instances/{WEB}/disk"
OTHER = f"/var/lib/nova/instances/{WEB}/other"
BALLOON = "<memballoon model='virtio'"
FILLED_IN = f"{BALLOON} freePageReporting='on'"
ANY = "0.0.0.0"  # noqa: S104 - where the consoles of the sample fleet listen
BRISK = Settings(sweep_interval=0.2, fresh_for=1.0, lease=0.6)
DEAD_URI = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"


def look(sealward: Running, server_id: str = DATABASE) -> None:
    """Wait until all that changed so far has been looked at and is known.

    Another server, which is signed, is changed to and fro. libvirt tells of changes in their order, the agent
    looks at what has come together, and reports arrive in their order: whatever came together with the first
    change is known when the second is.
    """
    disk = DISK.replace(WEB, server_id)
    sealward.fleet.replace(server_id, disk, OTHER)
    until(lambda: sealward.is_valid(server_id) == "false")
    sealward.fleet.replace(server_id, OTHER, disk)
    until(lambda: sealward.is_valid(server_id) == "true")


def servers(sealward: Running) -> set[str]:
    """Return the ids of the servers that nodes have reported."""
    return {one["server_id"] for one in sealward.ask("GET", "/v1/server").json["servers"]}


def history(sealward: Running, server_id: str = WEB) -> list[str]:
    """Return the types of the events of a sign."""
    return [one["type"] for one in sealward.ask("GET", f"/v1/sign/{server_id}/events").json["events"]]


@pytest.mark.alone
def test_a_redefined_server_is_false_within_a_second_and_says_why(sealward: Running) -> None:
    """The finding has code, class and sentence, and names section, XPath, and the signed and found values."""
    sealward.sign()
    sealward.fleet.replace(WEB, DISK, OTHER)
    seconds = until(lambda: sealward.is_valid() == "false")
    (finding,) = sealward.verdict()["findings"]

    assert seconds < 1
    assert finding == {
        "code": "disk-changed",
        "class": "configuration",
        "message": f"Disk vda: source file is '{OTHER}', and was signed as '{DISK}'.",
        "section": "disks",
        "xpath": '/domain/devices/disk[target/@dev="vda"]/source/@file',
        "signed": DISK,
        "found": OTHER,
        "form": "config",
    }


def test_a_server_that_is_as_it_was_signed_again_is_true_again(sealward: Running) -> None:
    """Measured equal, not forgiven."""
    sealward.sign()
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    sealward.fleet.replace(WEB, OTHER, DISK)
    until(lambda: sealward.is_valid() == "true")

    assert sealward.verdict()["findings"] == []


def test_a_redefinition_to_the_same_content_is_no_change(sealward: Running) -> None:
    """No event, no red."""
    sealward.sign()
    sealward.sign(DATABASE)
    sealward.fleet.define(sealward.fleet.xml(WEB))
    look(sealward)

    assert sealward.is_valid() == "true"
    assert history(sealward) == [
        "instance.appeared",
        "sign.created",
        "sign.sealed",
        "sign.validated",
    ]


def test_start_and_stop_are_no_change(sealward: Running) -> None:
    """A server is what it is, running or not."""
    sealward.sign()
    sealward.sign(BATCH)
    sealward.sign(DATABASE)
    sealward.fleet.stop(WEB)
    sealward.fleet.start(BATCH)
    look(sealward)

    assert (sealward.is_valid(), sealward.is_valid(BATCH)) == ("true", "true")


def test_only_put_makes_a_new_reference(sealward: Running) -> None:
    """Validating a changed server again and again leaves it false; PUT makes it true."""
    sealward.sign()
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    for _ in range(2):
        task_id = sealward.ask("POST", f"/v1/sign/{WEB}/validate").json["task_id"]
        until(lambda task_id=task_id: sealward.task(task_id)["state"] == "SUCCESS")  # type: ignore[misc]  # a default
        assert sealward.task(task_id)["result"]["is_valid"] == "false"
    put = sealward.ask("PUT", "/v1/sign", {"server_id": WEB})

    assert put.json["sign"]["is_valid"] == "true"
    assert sealward.verdict()["generation"] == 2


def test_validation_on_request_measures_now(sealward: Running) -> None:
    """The task carries the verdict, and the verdict its time."""
    sealward.sign()
    before = sealward.verdict()["checked_at"]
    time.sleep(1.1)  # the date has whole seconds
    answer = sealward.ask("POST", f"/v1/sign/{WEB}/validate")
    until(lambda: sealward.task(answer.json["task_id"])["state"] == "SUCCESS")

    assert answer.status == 202
    assert answer.headers["location"] == f"/v1/task/{answer.json['task_id']}"
    assert sealward.task(answer.json["task_id"])["result"]["is_valid"] == "true"
    assert sealward.verdict()["checked_at"] != before


def test_freshness_runs_out_by_itself(tmp_path: Path) -> None:
    """On a node that nobody activated, a true lives for `fresh_for` and no longer."""
    with running(tmp_path, settings=BRISK) as sealward:
        sealward.sign()
        until(lambda: sealward.is_valid() == "unknown")
        assert sealward.verdict()["reasons"] == ["stale"]
        assert [one["id"] for one in sealward.ask("GET", "/v1/sign?is_valid=unknown").json["signs"]] == [1]


def test_sweeps_keep_a_true_fresh(tmp_path: Path) -> None:
    """On an activated node a true outlives `fresh_for`, and costs no event of its own."""
    with running(tmp_path, settings=BRISK) as sealward:
        sealward.sign()
        sealward.action("activate")
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            assert sealward.is_valid() == "true"
            time.sleep(0.05)
        events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
        assert sum(one["type"] == "sign.validated" for one in events) == 1


def test_a_missing_server_is_unknown_and_compared_when_it_comes_back(sealward: Running) -> None:
    """Unreachable is not violated; and what comes back changed is false."""
    sealward.sign()
    xml = sealward.fleet.xml(WEB)
    sealward.fleet.remove(WEB)
    until(lambda: sealward.is_valid() == "unknown")
    reasons = sealward.verdict()["reasons"]
    sealward.fleet.define(xml)
    until(lambda: sealward.is_valid() == "true")
    sealward.fleet.remove(WEB)
    until(lambda: sealward.is_valid() == "unknown")
    sealward.fleet.define(xml.replace(DISK, OTHER))
    until(lambda: sealward.is_valid() == "false")

    assert reasons[0] in {"domain-not-found", "instance-left"}


def test_a_false_outlives_a_missing_server(sealward: Running) -> None:
    """Taking a violated server away does not acquit it."""
    sealward.sign()
    sealward.sign(DATABASE)
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    sealward.fleet.remove(WEB)
    look(sealward)

    assert "instance.left" in history(sealward)
    assert sealward.is_valid() == "false"


def test_deactivation_makes_a_true_unknown_and_leaves_a_false(sealward: Running) -> None:
    """Nobody vouches any more; what was seen was seen."""
    sealward.sign()
    sealward.sign(DATABASE)
    sealward.fleet.replace(WEB, DISK, OTHER)
    until(lambda: sealward.is_valid() == "false")
    sealward.action("activate")
    sealward.action("deactivate")

    assert (sealward.is_valid(WEB), sealward.is_valid(DATABASE)) == ("false", "unknown")
    assert sealward.verdict(DATABASE)["reasons"] == ["node-deactivated"]


def test_reactivation_compares_with_the_old_reference(sealward: Running) -> None:
    """What changed while nobody looked is false; what did not is true."""
    sealward.sign()
    sealward.sign(DATABASE)
    sealward.action("activate")
    sealward.action("deactivate")
    sealward.fleet.replace(WEB, DISK, OTHER)
    sealward.fleet.remove(BATCH)
    until(lambda: BATCH not in servers(sealward))
    unseen = sealward.is_valid()
    sealward.action("activate")

    until(lambda: sealward.is_valid() == "false")
    assert unseen == "unknown"
    assert sealward.is_valid(DATABASE) == "true"


def test_what_changed_while_the_agent_was_down_is_found(tmp_path: Path) -> None:
    """At its start an agent looks at everything, against the reference from before."""
    fleet = SampleFleet()
    with running(tmp_path, fleet) as sealward:
        sealward.sign()
        sealward.sign(DATABASE)
    with running(tmp_path, Altered(DISK, OTHER)) as sealward:
        until(lambda: sealward.is_valid() == "false")
        assert sealward.is_valid(DATABASE) == "true"
    with running(tmp_path, Altered(DISK, OTHER)) as sealward:  # a restart launders nothing
        look(sealward)
        assert sealward.is_valid() == "false"
    with running(tmp_path, SampleFleet()) as sealward:  # as it was signed: measured equal
        until(lambda: sealward.is_valid() == "true")


class Altered(SampleFleet):
    """The sample fleet, changed before any agent sees it."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__()
        self._old, self._new = old, new

    def open(self, uri: str) -> object:
        """Open the fleet and change it."""
        connection = super().open(uri)
        if self._old in self.xml(WEB):
            self.replace(WEB, self._old, self._new)
        return connection


def test_without_libvirt_a_true_is_unknown(tmp_path: Path) -> None:
    """And it is true again as soon as libvirt is there and the server is as it was."""
    with running(tmp_path) as sealward:
        sealward.sign()
    with running(tmp_path, settings=Settings(libvirt_uri=DEAD_URI)) as sealward:
        until(lambda: sealward.is_valid() == "unknown")
        assert sealward.verdict()["reasons"] == ["libvirt-gone"]
    with running(tmp_path) as sealward:
        until(lambda: sealward.is_valid() == "true")


def test_a_silent_node_is_lost_and_returns(tmp_path: Path) -> None:
    """A true becomes unknown, a false stays; the node says so at GET /v1/node."""
    with running(tmp_path, settings=BRISK) as sealward:
        sealward.sign()
        sealward.sign(DATABASE)
        sealward.fleet.replace(WEB, DISK, OTHER)
        until(lambda: sealward.is_valid() == "false")
        sealward.action("activate")
        sealward.embedded.agent.stop()
        until(lambda: sealward.is_valid(DATABASE) == "unknown")
        until(lambda: not sealward.ask("GET", "/v1/node/1").json["node"]["reachable"])
        assert sealward.verdict(DATABASE)["reasons"] in (["node-lost"], ["stale"])
        assert sealward.is_valid() == "false"
    with running(tmp_path, Altered(DISK, OTHER), settings=BRISK) as sealward:
        until(lambda: sealward.is_valid(DATABASE) == "true")
        assert sealward.ask("GET", "/v1/node/1").json["node"]["reachable"]
        assert sealward.is_valid() == "false"


def test_a_server_that_cannot_be_measured_is_sealed_later(tmp_path: Path) -> None:
    """POST answers in time with "unknown"; the order stands and is carried out when it can be."""
    with running(tmp_path) as sealward:
        sealward.sign()
    with running(tmp_path, settings=Settings(libvirt_uri=DEAD_URI, wait=0.3)) as sealward:
        began = time.monotonic()
        posted = sealward.ask("POST", "/v1/sign", {"server_id": DATABASE})
        put = sealward.ask("PUT", "/v1/sign", {"server_id": WEB})
        assert time.monotonic() - began < 3
        assert (posted.status, posted.json["sign"]["is_valid"]) == (201, "unknown")
        assert (put.status, put.json["sign"]["is_valid"]) == (200, "unknown")
        assert sealward.verdict(DATABASE)["reasons"][0] == "not-sealed"
        assert sealward.ask("GET", f"/v1/sign/{DATABASE}/envelope").status == 404
    with running(tmp_path) as sealward:
        until(lambda: sealward.is_valid(DATABASE) == "true")
        until(lambda: sealward.verdict()["generation"] == 2)


@pytest.mark.parametrize("times", [1, 2])
def test_an_action_said_twice_is_a_task_twice(sealward: Running, times: int) -> None:
    """Idempotent in effect; each order has its own task with the counts per verdict."""
    sealward.sign()
    tasks = {sealward.action("activate") for _ in range(times)}
    results = [sealward.task(task_id)["result"]["counts"] for task_id in tasks]

    assert len(tasks) == times
    assert results == [{"true": 1, "false": 0, "unknown": 0, "unsigned": 3}] * times
    unsigned = sealward.ask("GET", "/v1/server?signed=false").json["servers"]
    assert len(unsigned) == 3


def test_an_order_that_a_later_one_replaced_is_revoked(tmp_path: Path) -> None:
    """A client that asks for its task does not wait for ever."""
    with running(tmp_path) as sealward:
        sealward.embedded.agent.stop()
        first, second = (
            sealward.ask("POST", "/v1/sign/node/1/action", {"action": action}).json["task_id"]
            for action in ("activate", "deactivate")
        )
        assert (sealward.task(first)["state"], sealward.task(second)["state"]) == ("REVOKED", "PENDING")
    with running(tmp_path) as sealward:
        until(lambda: sealward.task(second)["state"] == "SUCCESS")


def test_another_libvirt_is_a_reason_and_no_violation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it may have filled in is unknown until it is signed anew; another disk is false all the same."""
    with monkeypatch.context() as older:
        older.setattr(connection, "version_of", lambda _: "libvirt 8.0.0")
        with running(tmp_path) as sealward:
            sealward.sign()
            sealward.sign(DATABASE)
    with running(tmp_path) as sealward:
        assert sealward.is_valid() == "true"
        sealward.fleet.replace(WEB, BALLOON, FILLED_IN)
        until(lambda: sealward.is_valid() == "unknown")
        assert sealward.verdict()["reasons"] == ["profile-changed"]
        assert sealward.is_valid(DATABASE) == "true"
        assert sealward.ask("PUT", "/v1/sign", {"server_id": WEB}).json["sign"]["is_valid"] == "true"
        sealward.fleet.replace(DATABASE, DISK.replace(WEB, DATABASE), OTHER)
        until(lambda: sealward.is_valid(DATABASE) == "false")


def test_one_order_gets_the_fleet_out_of_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server by itself: one in which more has changed is neither ordered nor sealed."""
    with monkeypatch.context() as older:
        older.setattr(connection, "version_of", lambda _: "libvirt 8.0.0")
        with running(tmp_path) as sealward:
            for server in (WEB, DATABASE, BATCH):
                sealward.sign(server)
    with running(tmp_path) as sealward:
        for server in (WEB, DATABASE, BATCH):
            sealward.fleet.replace(server, BALLOON, FILLED_IN)
            until(lambda server=server: sealward.is_valid(server) == "unknown")  # type: ignore[misc]  # a default
        sealward.fleet.replace(BATCH, DISK.replace(WEB, BATCH), OTHER)
        until(lambda: sealward.is_valid(BATCH) == "false")
        none = sealward.ask("POST", "/v1/sign/in-doubt?node_id=2").json
        given = sealward.ask("POST", "/v1/sign/in-doubt")
        orders = {one["server_id"]: one["task_id"] for one in given.json["orders"]}
        until(lambda: all(sealward.task(one)["state"] == "SUCCESS" for one in orders.values()))

        assert (given.status, none) == (202, {"orders": [], "left": 0})
        assert set(orders) == {WEB, DATABASE}
        assert [sealward.is_valid(one) for one in (WEB, DATABASE, BATCH)] == ["true", "true", "false"]
        assert sealward.ask("POST", "/v1/sign/in-doubt").json == {"orders": [], "left": 0}
        sealward.fleet.replace(WEB, FILLED_IN, BALLOON)
        until(lambda: sealward.is_valid() == "false")


def test_a_host_bound_change_is_a_violation_while_the_server_stays(sealward: Running) -> None:
    """Another console address is what a move brings along, and nothing else does."""
    sealward.sign()
    sealward.action("activate")
    sealward.fleet.replace(WEB, ANY, "10.0.0.7")
    until(lambda: sealward.is_valid() == "false")

    assert [(one["xpath"], one["signed"], one["found"]) for one in sealward.verdict()["findings"]][:2] == [
        ('/domain/devices/graphics[@type="vnc"]/@listen', ANY, "10.0.0.7"),
        ('/domain/devices/graphics[@type="vnc"]/listen/@address', ANY, "10.0.0.7"),
    ]
    sealward.fleet.replace(WEB, "10.0.0.7", ANY)
    until(lambda: sealward.is_valid() == "true")
