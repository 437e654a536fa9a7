"""Live migration between two nodes: the sign follows its server, and the verdict stays what it was."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from nodes import CONFIG, PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from sealward.node import Node
from sealward.node_agent.ledger import Ledger
from stack.guest import Guest

KEEP_SOURCE = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNSAFE
LIVE = KEEP_SOURCE | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE


@dataclass
class Fleet:
    """Two private nodes that one control plane watches; `ids` are the nodes' ids."""

    sealward: Sealward
    nodes: tuple[PrivateNode, PrivateNode]
    ids: tuple[int, int]
    ledgers: tuple[Ledger, Ledger]

    def migrate(self, guest: Running, flags: int = LIVE) -> None:
        """Move a running guest to the other node; it is there when this returns."""
        target = self.nodes[1 - self.nodes.index(guest.node)]
        socket = target.daemon.folder / "move.sock"
        socket.unlink(missing_ok=True)
        guest.domain.migrate3(target.connection, {libvirt.VIR_MIGRATE_PARAM_URI: f"unix://{socket}"}, flags)
        guest.node = target

    def is_at(self, guest: Running) -> int:
        """Return the index of the node that the sign is on."""
        sign = self.sealward.ask("GET", f"/v1/sign?node_id={self.ids[0]}").json["signs"]
        return 0 if any(one["server_id"] == guest.server_id for one in sign) else 1

    def events(self, guest: Running, kind: str) -> list[dict[str, Any]]:
        """Return what was recorded about a guest."""
        events = self.sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
        return [one["data"] for one in events if one["type"] == kind]

    def validate(self, guest: Running) -> dict[str, Any]:
        """Have it measured now; return the task as it ended."""
        task = self.sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
        until(lambda: self.sealward.task(task)["state"] in {"SUCCESS", "FAILURE"})
        return self.sealward.task(task)

    def has_reference(self, index: int, guest: Running) -> bool:
        """Say whether the guest's reference is in a node's ledger."""
        return any(one.server_id == guest.server_id for one in self.ledgers[index].entries())


@pytest.fixture
def fleet(two_nodes: tuple[PrivateNode, PrivateNode], guest: Running) -> Iterator[Fleet]:
    """Yield Sealward on both nodes; `guest` runs on the first and is signed."""
    first, second = two_nodes
    with watching(first) as sealward, _agent_on(second, sealward) as agent:
        ids = {one["hostname"]: one["id"] for one in sealward.ask("GET", "/v1/node").json["nodes"]}
        other = ids.pop(agent.agent.hostname)
        (own,) = ids.values()
        sealward.sign(guest.server_id)
        yield Fleet(sealward, two_nodes, (own, other), (sealward.embedded._node._ledger, agent._ledger))


@contextlib.contextmanager
def _agent_on(node: PrivateNode, sealward: Sealward) -> Iterator[Node]:
    """Run a second agent on the bus of the first."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        ledger = Ledger(Path(folder) / "node" / "ledger.sqlite")
        ledger.keep_fact("hostname", node.daemon.hostname)
        ledger.close()
        agent = Node(node.settings(data_dir=Path(folder)), sealward.embedded._bus)
        agent.start()
        try:
            until(lambda: len(sealward.ask("GET", "/v1/node").json["nodes"]) == 2)
            yield agent
        finally:
            agent.stop()


def test_a_sign_follows_its_server_there_and_back(fleet: Fleet, guest: Running) -> None:
    """Generation and reference stay; each node knows what it has to, and nobody ever says false."""
    envelope = fleet.sealward.ask("GET", f"/v1/sign/{guest.server_id}/envelope").body
    for here, there in ((0, 1), (1, 0)):
        fleet.migrate(guest)
        until(lambda there=there: fleet.is_at(guest) == there)  # type: ignore[misc]  # a default
        until(lambda there=there: fleet.has_reference(there, guest))  # type: ignore[misc]  # as above
        until(lambda here=here: not fleet.has_reference(here, guest))  # type: ignore[misc]  # as above
        until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
        assert fleet.validate(guest)["state"] == "SUCCESS"
    moves = fleet.events(guest, "sign.moved")
    said = fleet.events(guest, "sign.validated")

    assert [(one["from_hostname"], one["hostname"]) for one in moves][1] == (
        moves[0]["hostname"],
        moves[0]["from_hostname"],
    )
    assert [one["from_node_id"] for one in moves] == list(fleet.ids)
    assert {one["generation"] for one in moves} == {1}
    assert fleet.sealward.ask("GET", f"/v1/sign/{guest.server_id}/envelope").body == envelope
    assert all(one["is_valid"] != "false" for one in said), said
    assert fleet.sealward.ask("GET", "/v1/events?type=node.report-refused").json["events"] == []


def test_a_change_after_a_migration_is_found_by_the_new_node(fleet: Fleet, guest: Running) -> None:
    """And it stays false when the server moves on."""
    fleet.migrate(guest)
    until(lambda: fleet.is_at(guest) == 1)
    guest.domain.setMemoryFlags(96 * 1024, CONFIG)
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "false")
    fleet.migrate(guest)
    until(lambda: fleet.is_at(guest) == 0)

    assert fleet.validate(guest)["state"] == "SUCCESS"
    assert fleet.sealward.is_valid(guest.server_id) == "false"


def test_a_leftover_that_is_switched_off_keeps_no_sign(fleet: Fleet, guest: Running) -> None:
    """On both nodes at once, there and back: the sign is where the server runs."""
    for there in (1, 0):
        fleet.migrate(guest, KEEP_SOURCE)
        until(lambda there=there: fleet.is_at(guest) == there)  # type: ignore[misc]  # a default
        until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
        assert fleet.validate(guest)["state"] == "SUCCESS"
    servers = fleet.sealward.ask("GET", "/v1/server").json["servers"]
    said = fleet.events(guest, "sign.validated")

    assert [one["server_id"] for one in servers].count(guest.server_id) == 2
    assert len(fleet.events(guest, "sign.moved")) == 2
    assert all(one["is_valid"] != "false" for one in said), said


def test_a_server_that_is_moved_while_it_is_off_keeps_its_sign(fleet: Fleet) -> None:
    """It left its node, and is unknown until another one has it."""
    off = fleet.nodes[0].define(replace(Guest(fleet.nodes[0].guests), number=2))
    until(lambda: fleet.sealward.ask("GET", "/v1/server?signed=false").json["servers"] != [])
    fleet.sealward.sign(off.server_id)
    xml = off.config
    off.domain.undefine()
    until(lambda: fleet.sealward.is_valid(off.server_id) == "unknown")
    fleet.nodes[1].connection.defineXML(xml)
    off.node = fleet.nodes[1]
    until(lambda: fleet.is_at(off) == 1)
    until(lambda: fleet.sealward.is_valid(off.server_id) == "true")
