"""A node is taken away, and let in again: its row, its servers, what it says, what is measured of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from programs import sealward as command
from reporter import Reporter
from running import BASTION, DATABASE, WEB, Running, running, until

from sealward.control.role import Role
from sealward.events.base import node_stream, utc_now
from sealward.events.node import NodeReportRefused
from sealward.events.signing import keys
from sealward.projections.store.replay import replay
from sealward.protocol import reports
from sealward.protocol.queues import INBOX
from sealward.settings import Settings

OTHER = Reporter("kvm-other", 2, Ed25519PrivateKey.from_private_bytes(b"o" * 32))
PEM = keys.public_pem(OTHER.key.public_key())
ELSEWHERE = "0f0c8a70-9d0c-4f0a-8c39-2d3c6b1f7a6a"


def say(sealward: Running, body: bytes) -> None:
    """Put a message into the queue of the control plane."""
    sealward.embedded._bus.submit(INBOX, body)


def nodes(sealward: Running) -> list[tuple[int, str]]:
    """Return (id, hostname) of every node."""
    return [(one["id"], one["hostname"]) for one in sealward.ask("GET", "/v1/node").json["nodes"]]


def servers(sealward: Running, node_id: int) -> set[str]:
    """Return the servers of a node."""
    found = sealward.ask("GET", f"/v1/server?node_id={node_id}").json["servers"]
    return {one["server_id"] for one in found}


def refused(sealward: Running, hostname: str) -> list[str]:
    """Return why reports in a node's name were refused."""
    events = sealward.embedded.control_plane.store.read(node_stream(hostname))
    return [one.reason for one in events if isinstance(one, NodeReportRefused)]


def inventory(*server_ids: str) -> bytes:
    """Return what the other node says that it has."""
    instances = tuple((one, f"instance-{one[:8]}") for one in server_ids)
    return OTHER.seal(reports.Inventory(hostname=OTHER.hostname, instances=instances, taken_at=utc_now()))


def join(sealward: Running) -> None:
    """Let the other node register and say that it has a server."""
    say(sealward, OTHER.registration())
    say(sealward, inventory(ELSEWHERE))
    until(lambda: servers(sealward, 2) == {ELSEWHERE})


def admit(sealward: Running, hostname: str, pem: str) -> dict[str, Any]:
    """Let a node in."""
    answer = sealward.ask("POST", "/v1/node", {"hostname": hostname, "public_key": pem})
    assert answer.status == 201, answer.body
    node: dict[str, Any] = answer.json["node"]
    assert answer.headers["location"] == f"/v1/node/{node['id']}"
    return node


def rebuilds(sealward: Running) -> bool:
    """Say whether the rows are what the log gives."""
    plane = sealward.embedded.control_plane
    return replay(plane.store, plane.projections, lambda _: None).differences == ()


def test_a_node_is_removed_with_all_that_is_its_own(sealward: Running) -> None:
    """Row, servers, lease, metrics; its open tasks end; the log keeps who did it."""
    join(sealward)
    action = sealward.ask("POST", "/v1/sign/node/2/action", {"action": "activate"}).json
    before = sealward.ask("GET", "/metrics?detailed").body.decode()
    answer = sealward.ask("DELETE", "/v1/node/2")
    (removed,) = sealward.ask("GET", "/v1/events?type=node.removed").json["events"]
    task = sealward.task(removed["data"]["task_id"])

    assert (answer.status, answer.body) == (204, b"")
    assert OTHER.hostname not in {hostname for _, hostname in nodes(sealward)}
    assert servers(sealward, 2) == set()
    assert sealward.task(action["task_id"])["state"] == "REVOKED"
    assert (removed["data"]["actor"], removed["data"]["node_id"]) == ("user:admin", 2)
    assert (task["name"], task["state"], task["result"]) == (
        "sealward.node.remove",
        "SUCCESS",
        {"node_id": 2},
    )
    assert f'node="{OTHER.hostname}"' in before
    until(lambda: f'node="{OTHER.hostname}"' not in sealward.ask("GET", "/metrics?detailed").body.decode())
    detailed = sealward.ask("GET", "/healthcheck?detailed").json
    assert OTHER.hostname not in detailed["silent"] + detailed["quiet"]
    for method, path, body in (
        ("DELETE", "/v1/node/2", None),
        ("GET", "/v1/node/2", None),
        ("PUT", "/v1/node/2/key", {"public_key": PEM}),
        ("POST", "/v1/sign/node/2/action", {"action": "activate"}),
    ):
        assert sealward.ask(method, path, body).json["error"]["reason"] == "node.not-found"
    assert sealward.ask("POST", "/v1/sign", {"server_id": ELSEWHERE}).status == 404
    assert rebuilds(sealward)


def test_what_a_removed_node_says_is_refused_and_recorded(sealward: Running) -> None:
    """Its key is good for nothing, not even to register anew; others are heard as ever."""
    join(sealward)
    sealward.ask("DELETE", "/v1/node/2")
    say(sealward, inventory(ELSEWHERE))
    say(sealward, OTHER.registration())
    until(lambda: bool(refused(sealward, OTHER.hostname)))
    sealward.sign()  # whoever comes after it in the queue is heard

    assert refused(sealward, OTHER.hostname) == ["node.removed"]
    assert [one for one, _ in nodes(sealward)] == [1]
    assert servers(sealward, 2) == set()


def test_it_is_let_in_again_as_another(sealward: Running) -> None:
    """With a key that an administrator names, and an id that nobody had."""
    join(sealward)
    sealward.ask("DELETE", "/v1/node/2")
    node = admit(sealward, OTHER.hostname, PEM)
    say(sealward, OTHER.registration())
    say(sealward, inventory(ELSEWHERE))
    until(lambda: servers(sealward, 3) == {ELSEWHERE})

    assert (node["id"], node["keyid"] != "", node["active"]) == (3, True, False)
    assert refused(sealward, OTHER.hostname) == []
    assert rebuilds(sealward)


def test_a_node_that_is_let_in_first_needs_no_trust_at_first_use(sealward: Running) -> None:
    """A host that registers under its name with another key is refused."""
    node = admit(sealward, OTHER.hostname, PEM)
    stranger = Reporter(OTHER.hostname, 2, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    say(sealward, stranger.registration())
    until(lambda: ("", "node.hostname-taken") in sealward.dropped())
    join(sealward)

    assert (node["id"], node["reachable"], node["last_seen"]) == (2, False, None)
    assert sealward.ask("GET", "/v1/node/2").json["node"]["reachable"]


def test_the_signs_of_a_host_that_is_gone_can_be_deleted(tmp_path: Path) -> None:
    """Burnt down: its node is lost, which keeps nobody from taking its servers off control, and then it."""
    with running(tmp_path, settings=Settings(lease=1)) as sealward:
        sealward.sign()
        sealward.sign(DATABASE)
        sealward.embedded._node.stop()
        until(lambda: not sealward.ask("GET", "/v1/node/1").json["node"]["reachable"])
        held = sealward.ask("DELETE", "/v1/node/1")
        for server_id in (WEB, DATABASE):
            assert sealward.ask("DELETE", f"/v1/sign/{server_id}").status == 204
        gone = sealward.ask("DELETE", "/v1/node/1")
        leases = sealward.embedded.control_plane.leases
        until(lambda: leases.seen() == {})

        assert (held.status, held.json["error"]["reason"]) == (409, "node.has-signs")
        assert "DELETE /v1/sign/{server_id}" in held.json["error"]["message"]
        assert gone.status == 204
        assert nodes(sealward) == []
        assert sealward.ask("GET", "/v1/server").json["servers"] == []
        assert sealward.ask("GET", "/healthcheck?detailed").json["silent"] == []


def test_an_agent_that_hears_of_its_removal_comes_back_by_itself_when_it_is_let_in(tmp_path: Path) -> None:
    """It asks on, seldom; let in again it says which servers it has, and measures them."""
    with running(tmp_path, settings=Settings(sweep_interval=1)) as sealward:
        node = sealward.ask("GET", "/v1/node/1").json["node"]
        assert sealward.ask("DELETE", "/v1/node/1").status == 204
        until(lambda: sealward.embedded.agent._agent.registration.ended)
        until(lambda: "node.removed" in refused(sealward, node["hostname"]))
        again = admit(sealward, node["hostname"], node["public_key"])
        until(lambda: BASTION in servers(sealward, again["id"]))
        signed = sealward.sign()

        assert (again["id"], signed["node_id"], signed["is_valid"]) == (2, 2, "true")
        assert not sealward.embedded.agent._agent.registration.ended


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"hostname": "kvm9", "public_key": "garbage"}, 400, "key.refused"),
        ({"hostname": "kvm9\n", "public_key": PEM}, 400, "node.bad-hostname"),
        ({"hostname": "", "public_key": PEM}, 400, "node.bad-hostname"),
        ({"hostname": "kvm9/#", "public_key": PEM}, 400, "node.bad-hostname"),
        ({"hostname": "kvm9"}, 400, "body.malformed"),
        ({"hostname": None, "public_key": PEM}, 400, "body.malformed"),
    ],
)
def test_who_is_let_in_has_a_name_and_a_key(shared: Running, body: object, status: int, reason: str) -> None:
    """Nothing is written otherwise."""
    before = shared.embedded.control_plane.store.head()
    answer = shared.ask("POST", "/v1/node", body)

    assert (answer.status, answer.json["error"]["reason"]) == (status, reason)
    assert shared.embedded.control_plane.store.head() == before


def test_who_is_in_is_not_let_in_again(shared: Running) -> None:
    """That would be a way to another key."""
    hostname = shared.ask("GET", "/v1/node/1").json["node"]["hostname"]
    answer = shared.ask("POST", "/v1/node", {"hostname": hostname, "public_key": PEM})

    assert (answer.status, answer.json["error"]["reason"]) == (409, "node.exists")


def test_only_an_administrator_says_who_is_a_node(shared: Running) -> None:
    """A security officer does not."""
    headers: dict[str, str | None] = {"X-Auth-Token": shared.token_of(Role.SECURITY_OFFICER)}
    newcomer = {"hostname": "kvm9", "public_key": PEM}

    assert shared.ask("DELETE", "/v1/node/1", headers=headers).status == 403
    assert shared.ask("POST", "/v1/node", newcomer, headers=headers).status == 403


def test_what_is_printed_for_the_broker_is_a_script(tmp_path: Path) -> None:
    """`sealward node expel`: the counterpart of enroll; a name that is none is refused."""
    done = command(tmp_path, "node", "expel", "kvm9", "--vhost", "the fleet's")
    (tmp_path / "expel.sh").write_text(done.stdout)
    subprocess.run([str(shutil.which("sh")), "-n", str(tmp_path / "expel.sh")], check=True, timeout=10)  # noqa: S603 - only read

    assert "delete_user node.kvm9\n" in done.stdout
    assert "for queue in sealward.node.kvm9 sealward.reports.kvm9; do" in done.stdout
    assert "delete_queue -p 'the fleet'\"'\"'s' \"$queue\"" in done.stdout
    assert command(tmp_path, "node", "expel", "kvm9; reboot").returncode == 2
