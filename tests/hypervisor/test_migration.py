"""Live migration between two nodes: the sign follows its server, and the verdict stays what it was."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from nodes import CONFIG, PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from sealward.events.bus.connection import BusUnavailable
from sealward.node import Node
from sealward.node_agent.gate import hook
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.runner import Changed
from stack.guest import Guest, make_disk

KEEP_SOURCE = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNSAFE
LIVE = KEEP_SOURCE | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
SLOWLY = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: 4}
"""MiB a second: so it takes a second or two."""

TRIES = 10
TOO_BUSY = ("did not say in time", "there was no time to compare it", "was given no domain XML in time")
"""What the start gate says on a machine that is too busy."""


@dataclass
class Fleet:
    """Two private nodes that one control plane watches; `ids` are the nodes' ids."""

    sealward: Sealward
    nodes: tuple[PrivateNode, PrivateNode]
    ids: tuple[int, int]
    ledgers: tuple[Ledger, Ledger]
    agent: Node
    """The agent of the second node, which has a start gate."""

    def migrate(self, guest: Running, flags: int = LIVE, more: Mapping[str, str | int] | None = None) -> None:
        """Move a running guest to the other node; it is there when this returns.

        Tried again when the machine is too busy for the start gate to be answered in time.
        """
        for _ in range(TRIES):
            try:
                self._move(guest, flags, more)
            except libvirt.libvirtError as refused:
                if not any(text in str(refused) for text in TOO_BUSY):
                    raise
            else:
                return
        pytest.fail("the start gate was not answered in time, again and again")

    def _move(self, guest: Running, flags: int, more: Mapping[str, str | int] | None) -> None:
        target = self.nodes[1 - self.nodes.index(guest.node)]
        socket = target.daemon.folder / "move.sock"
        socket.unlink(missing_ok=True)
        uri = {libvirt.VIR_MIGRATE_PARAM_URI: f"unix://{socket}"}
        guest.domain.migrate3(target.connection, uri | dict(more or {}), flags)
        guest.node = target

    def refuse_all(self) -> None:
        """Have the second node refuse each server that is not signed, or not as it was signed."""
        path = f"/v1/node/{self.ids[1]}/policy"
        policy = self.sealward.ask("PUT", path, {"on_start": "refuse", "unsigned": "refuse"}).json["policy"]
        until(lambda: self.agent.agent.policies.of("").set_by == policy["position"])

    def refusal(self, guest: Running, more: dict[str, str] | None = None) -> str:
        """Return libvirt's answer to an attempt to move a guest when the gate is answered in time."""
        with pytest.raises(libvirt.libvirtError) as refused:
            self.migrate(guest, more=more)
        assert refused.value.get_error_code() == libvirt.VIR_ERR_HOOK_SCRIPT_FAILED
        return str(refused.value)

    def unanswered(self, guest: Running) -> str:
        """Return libvirt's answer to an attempt to move a guest when nobody answers the gate."""
        with pytest.raises(libvirt.libvirtError) as refused:
            self._move(guest, LIVE, None)
        return str(refused.value)

    def refusals(self) -> list[dict[str, Any]]:
        """Return what start gates have refused; not what they could not find out in time."""
        events = self.sealward.ask("GET", "/v1/events?type=start.refused").json["events"]
        return [one["data"] for one in events if one["data"]["reason"] not in {"unanswered", "out-of-time"}]

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
        yield Fleet(
            sealward, two_nodes, (own, other), (sealward.embedded._node._ledger, agent._ledger), agent
        )


@contextlib.contextmanager
def _agent_on(node: PrivateNode, sealward: Sealward) -> Iterator[Node]:
    """Run a second agent, with a start gate, on the bus of the first."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as folder:
        own = Path(folder) / "node"
        hook.install(node.daemon.hooks_dir, own, own / "gate.sock", node.daemon.folder / "in")
        node.restart()
        ledger = Ledger(Path(folder) / "node" / "ledger.sqlite")
        ledger.keep_fact("hostname", node.daemon.hostname)
        ledger.close()
        authority = sealward.embedded.control_plane.authority_pem
        agent = Node(node.settings(data_dir=Path(folder)), sealward.embedded._bus, authority=authority)
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


def rewritten(guest: Running, address: str) -> dict[str, str]:
    """Return the guest for another node, where its console listens elsewhere, as nova rewrites it."""
    secure = libvirt.VIR_DOMAIN_XML_SECURE
    live = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE | secure)
    config = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | secure)
    return {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: live.replace("127.0.0.1", address),
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: config.replace("127.0.0.1", address),
    }


def test_what_a_migration_rewrites_is_learned_and_strict_from_then_on(fleet: Fleet, guest: Running) -> None:
    """Recorded once, with findings; a change of it on the new node is a violation."""
    fleet.migrate(guest, more=rewritten(guest, "127.0.0.7"))
    until(lambda: len(fleet.events(guest, "sign.host-bound-changed")) == 1)
    assert fleet.validate(guest)["result"]["is_valid"] == "true"

    (recorded,) = fleet.events(guest, "sign.host-bound-changed")
    assert {one["found"] for one in recorded["findings"]} == {"127.0.0.7"}
    guest.redefine("127.0.0.7", "127.0.0.8")
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "false")
    guest.redefine("127.0.0.8", "127.0.0.7")
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")


def test_after_a_migration_a_cold_start_is_no_violation_and_the_signed_address_is(
    fleet: Fleet, guest: Running
) -> None:
    """What was signed on the other node counts no more; what libvirt makes of the new definition does."""
    fleet.migrate(guest, more=rewritten(guest, "127.0.0.7"))
    until(lambda: len(fleet.events(guest, "sign.host-bound-changed")) == 1)
    guest.domain.destroy()
    guest.domain.create()
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
    assert fleet.validate(guest)["result"]["is_valid"] == "true"

    said = {one["is_valid"] for one in fleet.events(guest, "sign.validated")}
    guest.redefine("127.0.0.7", "127.0.0.1")
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "false")
    assert "false" not in said


def test_a_migration_that_has_a_console_listen_to_everybody_is_refused(fleet: Fleet, guest: Running) -> None:
    """By the gate of the node that receives it; the server goes on where it was."""
    fleet.refuse_all()
    everybody = rewritten(guest, "0.0.0.0")  # noqa: S104 - nobody binds to it here
    text = fleet.refusal(guest, everybody)

    assert "listens on every address" in text
    assert guest.domain.isActive()
    assert fleet.is_at(guest) == 0


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


def test_the_reference_is_there_before_the_start_gate_asks(fleet: Fleet, guest: Running) -> None:
    """A node that refuses what nobody signed receives what is signed, and nobody ever says false."""
    fleet.refuse_all()
    fleet.migrate(guest)
    until(lambda: fleet.is_at(guest) == 1)
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
    said = fleet.events(guest, "sign.validated")

    assert fleet.validate(guest)["state"] == "SUCCESS"
    assert all(one["is_valid"] != "false" for one in said), said
    assert fleet.refusals() == []


def test_what_is_changed_on_the_way_is_not_received(fleet: Fleet, guest: Running) -> None:
    """Section and finding stand in the error and in an event; it goes on at home, and may move as it was."""
    fleet.refuse_all()
    evil = make_disk(guest.guest.folder / "evil")
    xml = guest.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE)
    other = xml.replace(f"file='{guest.guest.disk}'", f"file='{evil}'")
    assert other != xml
    text = fleet.refusal(guest, {libvirt.VIR_MIGRATE_PARAM_DEST_XML: other})
    until(lambda: len(fleet.refusals()) == 1)
    (refused,) = fleet.refusals()

    assert "disks: /domain/devices/disk" in text
    assert str(evil) in text
    assert (refused["server_id"], refused["reason"]) == (guest.server_id, "measurement-differs")
    assert refused["hostname"] == fleet.agent.agent.hostname
    assert "disks" in {one["section"] for one in refused["findings"]}
    assert fleet.is_at(guest) == 0
    assert fleet.sealward.is_valid(guest.server_id) == "true"
    fleet.migrate(guest)
    until(lambda: fleet.is_at(guest) == 1)
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")


def test_what_nobody_signed_is_not_received_and_that_is_known(fleet: Fleet) -> None:
    """The control plane has said so."""
    fleet.refuse_all()
    other = fleet.nodes[0].run(replace(Guest(fleet.nodes[0].guests), number=2))

    assert "nobody signed it" in fleet.refusal(other)
    assert other.domain.isActive()


def test_without_an_answer_the_policy_about_unsigned_servers_decides(fleet: Fleet, guest: Running) -> None:
    """Broker away or agent stopped: the text says that it is not known; the server goes on at home."""
    fleet.refuse_all()

    def away(_: bytes) -> None:
        raise BusUnavailable("gone")

    outbox = fleet.agent.agent._outbox
    submit, outbox._submit = outbox._submit, away
    cut_off = fleet.unanswered(guest)
    outbox._submit = submit
    fleet.agent.agent.stop()
    alone = fleet.unanswered(guest)

    for text in (cut_off, alone):
        assert any(one in text for one in TOO_BUSY[:2])
    assert guest.domain.isActive()
    assert fleet.sealward.is_valid(guest.server_id) == "true"


@dataclass
class Watch:
    """What GET says of a guest, asked without a pause while something is done; times in seconds."""

    sealward: Sealward
    server_id: str
    read: list[tuple[float, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def during(self) -> Iterator[None]:
        """Watch until the block is left."""
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                self.read.append((time.monotonic(), self.sealward.is_valid(self.server_id)))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def longest(self, verdict: str) -> float:
        """Return how long that was said at a stretch, at most."""
        longest, since = 0.0, None
        for moment, said in self.read:
            since = (moment if since is None else since) if said == verdict else None
            longest = max(longest, 0.0 if since is None else moment - since)
        return longest


def test_no_unknown_is_longer_than_the_migration(fleet: Fleet, guest: Running) -> None:
    """Nor is there any red."""
    fleet.refuse_all()
    watch = Watch(fleet.sealward, guest.server_id)
    with watch.during():
        began = time.monotonic()
        fleet.migrate(guest, more=SLOWLY)
        took = time.monotonic() - began
        until(lambda: fleet.is_at(guest) == 1)
        until(lambda: fleet.has_reference(1, guest))
        until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
    unknown = watch.longest("unknown")
    print(f"migrated in {took:.2f} s, {unknown:.2f} s of them unknown, {len(watch.read)} answers")

    assert unknown <= took
    assert {said for _, said in watch.read} <= {"true", "unknown"}


def _while_it_moves(fleet: Fleet, guest: Running, order: Callable[[], None]) -> None:
    """Give the same order fifty times a second, until the sign has followed its server."""
    mover = threading.Thread(target=lambda: fleet.migrate(guest, more=SLOWLY))
    mover.start()
    while mover.is_alive() or fleet.is_at(guest) == 0:
        order()
        time.sleep(0.02)
    mover.join()


def test_what_is_asked_during_a_migration_is_answered(fleet: Fleet, guest: Running) -> None:
    """By whichever node has the server: no task waits for the one that it has left."""
    tasks: list[str] = []

    def order() -> None:
        tasks.append(fleet.sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"])

    _while_it_moves(fleet, guest, order)
    until(lambda: all(fleet.sealward.task(one)["state"] in {"SUCCESS", "FAILURE"} for one in tasks))
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")

    assert all(one["is_valid"] != "false" for one in fleet.events(guest, "sign.validated"))


def test_what_is_ordered_during_a_migration_is_sealed(fleet: Fleet, guest: Running) -> None:
    """The last order is in force, on the node where the server is then."""

    def order() -> None:
        assert fleet.sealward.ask("PUT", "/v1/sign", {"server_id": guest.server_id}).status == 200

    _while_it_moves(fleet, guest, order)
    ordered = fleet.events(guest, "sign.updated")
    until(lambda: fleet.events(guest, "sign.sealed")[-1]["generation"] == ordered[-1]["generation"])
    until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")

    assert fleet.validate(guest)["state"] == "SUCCESS"
    assert all(one["is_valid"] != "false" for one in fleet.events(guest, "sign.validated"))


def _unknown_while(fleet: Fleet, guest: Running, ends: Callable[[], None]) -> tuple[float, set[str]]:
    """Migrate while something is away; return the seconds of unknown at a stretch, and the verdicts read.

    `ends` brings back what was away, when the server has arrived and its new node has had time to say so.
    """
    watch = Watch(fleet.sealward, guest.server_id)
    with watch.during():
        fleet._move(guest, LIVE, None)
        time.sleep(1)
        ends()
        until(lambda: fleet.is_at(guest) == 1)
        until(lambda: fleet.sealward.is_valid(guest.server_id) == "true")
    return watch.longest("unknown"), {said for _, said in watch.read}


def test_while_the_agent_of_the_source_stands_still_a_migration_is_a_claim(
    fleet: Fleet, guest: Running
) -> None:
    """Nobody says that the server left: unknown from its arrival until the agent is back, and never false."""
    source = fleet.sealward.embedded._node.agent
    agent = source._agent
    look = agent.validate_changed
    agent.validate_changed = agent._departures.take = lambda _: None  # type: ignore[method-assign,assignment]  # it stands still

    def back() -> None:
        assert fleet.sealward.verdict(guest.server_id)["reasons"] == ["claimed-twice"]
        agent.validate_changed = look  # type: ignore[method-assign]  # as above
        source._jobs.put(Changed(None))

    unknown, said = _unknown_while(fleet, guest, back)
    print(f"the source's agent stood still: {unknown:.2f} s unknown")

    assert said == {"true", "unknown"}
    assert [one["denied"] for one in fleet.events(guest, "sign.claimed")] == [False]


def test_while_nobody_reaches_the_broker_a_migration_goes_unnoticed(fleet: Fleet, guest: Running) -> None:
    """And is made up for when both agents reach it again: never false, and unknown for moments at most."""
    agents = (fleet.sealward.embedded._node.agent, fleet.agent.agent)

    def away(_: bytes) -> None:
        raise BusUnavailable("gone")

    submits = [one._outbox._submit for one in agents]
    for one in agents:
        one._outbox._submit = away

    def back() -> None:
        for one, submit in zip(agents, submits, strict=True):
            one._outbox._submit = submit
            one._jobs.put(Changed(None))

    unknown, said = _unknown_while(fleet, guest, back)
    print(f"the broker was away: {unknown:.2f} s unknown")

    assert said <= {"true", "unknown"}
