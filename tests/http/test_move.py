"""What two nodes say that they run: the verdict names both, and an administrator says where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reporter import Reporter
from running import DATABASE, WEB, Running, until

from sealward.commands.context import SYSTEM, RequestContext
from sealward.commands.messages import LoseNode, RecordInventory
from sealward.control.role import Role
from sealward.protocol import reports
from sealward.protocol.queues import INBOX

OTHER = Reporter("kvm-b", 2)


def _say(sealward: Running, *bodies: bytes) -> None:
    """Have a second node, which has no libvirt, say something."""
    for body in bodies:
        sealward.embedded._bus.submit(INBOX, body)


def _claim(sealward: Running) -> Reporter:
    """Have a second node say that it runs a signed server."""
    other = Reporter("kvm-b", 2)
    _say(sealward, other.registration(), other.inventory(WEB, running=[WEB]))
    until(lambda: sealward.verdict()["claimed_by"] == ["kvm-b"])
    return other


def _claims(sealward: Running) -> list[dict[str, Any]]:
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    return [one for one in events if one["type"] == "sign.claimed"]


def _move(sealward: Running, node_id: int, server_id: str = WEB) -> tuple[int, str]:
    answer = sealward.ask("POST", f"/v1/sign/{server_id}/move", {"node_id": node_id})
    return answer.status, answer.json["error"]["reason"] if answer.status != 200 else ""


def test_a_claim_is_a_verdict_a_metric_and_an_event_and_ends(sealward: Running) -> None:
    """All of it while the second node says so; then the first one measures the server again."""
    sealward.sign()
    other = _claim(sealward)
    verdict = sealward.verdict()
    metrics = sealward.ask("GET", "/metrics").body.decode()
    until(lambda: [one["data"]["denied"] for one in _claims(sealward)] == [False, True])
    _say(sealward, other.inventory(running=()))
    until(lambda: sealward.is_valid() == "true")
    home = sealward.ask("GET", "/v1/node/1").json["node"]["hostname"]
    kinds = [one["type"] for one in sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]]

    assert (verdict["is_valid"], verdict["reasons"]) == ("unknown", ["claimed-twice"])
    assert [(one["signed"], one["found"]) for one in verdict["findings"]] == [(home, "kvm-b")]
    assert "sealward_claimed_servers 1.0" in metrics
    assert [one for one in kinds if one.startswith("sign.claim")] == [
        "sign.claimed",
        "sign.claimed",
        "sign.claim-settled",
    ]
    assert sealward.verdict()["claimed_by"] == []


def test_an_administrator_moves_what_a_lost_node_had(sealward: Running) -> None:
    """Not while the node is heard and runs the server, not to a node that does not report it, once."""
    sealward.sign()
    _claim(sealward)
    heard, nowhere, unsigned = _move(sealward, 2), _move(sealward, 3), _move(sealward, 2, DATABASE)
    sealward.embedded._node.stop()
    hostname = sealward.ask("GET", "/v1/node/1").json["node"]["hostname"]
    sealward.embedded.control_plane.handler.handle(LoseNode(context=SYSTEM, hostname=hostname))
    moved = sealward.ask("POST", f"/v1/sign/{WEB}/move", {"node_id": 2})
    again = _move(sealward, 2)
    events = sealward.ask("GET", f"/v1/sign/{WEB}/events").json["events"]
    moves = [one for one in events if one["type"] == "sign.moved"]

    assert (heard, nowhere) == ((409, "sign.node-not-lost"), (404, "node.not-found"))
    assert unsigned == (404, "sign.not-found")
    assert (moved.status, moved.json["sign"]["node_id"]) == (200, 2)
    assert again == (200, "")
    assert [(one["actor"], one["data"]["grounds"]) for one in moves] == [("user:admin", "ordered")]


def test_what_has_moved_by_itself_is_signed_anew_where_the_client_says(sealward: Running) -> None:
    """Its node no longer has the server, another one says so: the client is told which, and says it."""
    sealward.sign()
    _say(sealward, OTHER.registration(), OTHER.inventory(WEB, running=()))
    until(lambda: len(sealward.ask("GET", "/v1/node").json["nodes"]) == 2)
    sealward.embedded._node.stop()
    node = sealward.ask("GET", "/v1/node/1").json["node"]
    gone = RecordInventory(
        context=RequestContext(actor=f"node:{node['hostname']}"),
        hostname=node["hostname"],
        report=reports.Inventory(
            hostname=node["hostname"], instances=(), taken_at=datetime.now(UTC), running=()
        ),
    )
    sealward.embedded.control_plane.handler.handle(gone)
    _say(sealward, OTHER.inventory(WEB, running=[WEB]))
    until(lambda: sealward.ask("GET", f"/v1/sign/{WEB}").json["sign"]["node_id"] == 2)
    unsaid = sealward.ask("PUT", "/v1/sign", {"server_id": WEB})
    wrong = sealward.ask("PUT", "/v1/sign", {"server_id": WEB, "node_id": 1})
    said = sealward.ask("PUT", "/v1/sign", {"server_id": WEB, "node_id": 2})

    for refused in (unsaid, wrong):
        assert (refused.status, refused.json["error"]["reason"]) == (409, "sign.place-unconfirmed")
        assert "node 2 (kvm-b)" in refused.json["error"]["message"]
    assert said.status == 200


def test_a_sign_is_not_moved_to_where_the_server_is_not(sealward: Running) -> None:
    """The node is registered, and does not report the server."""
    sealward.sign()
    _say(sealward, OTHER.registration(), OTHER.inventory(running=()))
    until(lambda: len(sealward.ask("GET", "/v1/node").json["nodes"]) == 2)

    assert _move(sealward, 2) == (409, "sign.not-there")


def test_only_administrators_move_signs(sealward: Running) -> None:
    """Not a security officer, who signs."""
    sealward.sign()
    token = sealward.token_of(Role.SECURITY_OFFICER)

    assert (
        sealward.ask("POST", f"/v1/sign/{WEB}/move", {"node_id": 1}, headers={"X-Auth-Token": token}).status
        == 403
    )


def test_what_several_nodes_report_is_signed_where_the_client_says(sealward: Running) -> None:
    """None is chosen: a node may say that it has a server to have it signed as what it has."""
    other = Reporter("kvm-b", 2)
    _say(sealward, other.registration(), other.inventory(WEB, running=[WEB]))
    until(lambda: len(sealward.ask("GET", "/v1/node").json["nodes"]) == 2)

    def servers() -> list[str]:
        return [one["server_id"] for one in sealward.ask("GET", "/v1/server").json["servers"]]

    until(lambda: servers().count(WEB) == 2)
    unsaid = sealward.ask("POST", "/v1/sign", {"server_id": WEB})
    nowhere = sealward.ask("POST", "/v1/sign", {"server_id": WEB, "node_id": 3})
    signed = sealward.ask("POST", "/v1/sign", {"server_id": WEB, "node_id": 1})

    assert (unsaid.status, unsaid.json["error"]["reason"]) == (409, "server.on-several-nodes")
    assert (nowhere.status, nowhere.json["error"]["reason"]) == (404, "server.not-found")
    assert (signed.status, signed.json["sign"]["node_id"]) == (201, 1)
