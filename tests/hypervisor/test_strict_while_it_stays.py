"""Host-bound parts on a real libvirtd: strict while a server stays on its node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import libvirt
import pytest
from nodes import PrivateNode, Running, watching
from running import Running as Sealward
from running import running, until

from sealward.node_agent.gate import hook
from stack.guest import Guest

SERIAL = (
    "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='0'/><protocol type='raw'/>"
    "<target type='isa-serial' port='1'/></serial>"
)
BACKED = "<memoryBacking><nosharepages/></memoryBacking>"
CHANGES = {
    "a console at another address": ("127.0.0.1'", "127.0.0.2'"),
    "a console on every address": ("'127.0.0.1'/>\n    </graphics>", "'0.0.0.0'/>\n    </graphics>"),
    "a serial console on every address": ("host='127.0.0.1'", "host='0.0.0.0'"),
    "memory as a shared file": (
        "<nosharepages/>",
        "<nosharepages/><source type='file'/><access mode='shared'/>",
    ),
    "pages that may be merged": (
        "<memoryBacking>\n    <nosharepages/>\n  </memoryBacking>",
        "",
    ),
    "a performance counter": ("</devices>", "</devices><perf><event name='cmt' enabled='yes'/></perf>"),
}


@contextlib.contextmanager
def gated(node: PrivateNode, guest: Guest) -> Iterator[tuple[Sealward, Running]]:
    """Define a guest, and run a Sealward whose node has the gate."""
    folder = node.daemon.folder / "sw"
    hook.install(
        node.daemon.hooks_dir, folder / "node", folder / "node" / "gate.sock", node.daemon.folder / "in"
    )
    node.restart()
    defined = node.define(guest)
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        yield sealward, defined


def put(guest: Running, old: str, new: str) -> None:
    """Define it otherwise; the address is in two places of a console."""
    xml = guest.config
    assert old in xml, xml
    guest.node.connection.defineXML(xml.replace(old, new).replace(" listen='127.0.0.1'", ""))


def answers(guest: Running) -> bool:
    """Say whether libvirt answers again: that a connection was lost is noticed when it is used."""
    with contextlib.suppress(libvirt.libvirtError):
        return bool(guest.domain.isActive())
    return False


@pytest.fixture
def signed(node: PrivateNode) -> Iterator[tuple[Sealward, Running]]:
    """Yield a guest that is off, signed, and refused when it is not as it was."""
    with gated(node, replace(Guest(node.guests), extra=SERIAL, beside=BACKED)) as (sealward, guest):
        until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
        sealward.sign(guest.server_id)
        position = sealward.ask("PUT", "/v1/node/1/policy", {"on_start": "refuse"}).json["policy"]["position"]
        until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
        yield sealward, guest


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_move_rewrites_is_false_and_does_not_start_while_nothing_moves(
    signed: tuple[Sealward, Running], name: str
) -> None:
    """It is put back, and is true again, and starts."""
    sealward, guest = signed
    before = guest.config
    put(guest, *CHANGES[name])
    until(lambda: sealward.is_valid(guest.server_id) == "false")
    with pytest.raises(libvirt.libvirtError) as refused:
        guest.domain.create()
    assert "it is not as it was signed" in str(refused.value)
    assert sealward.verdict(guest.server_id)["findings"]

    guest.node.connection.defineXML(before)
    until(lambda: sealward.is_valid(guest.server_id) == "true")
    guest.domain.create()
    assert guest.domain.isActive()


def test_a_life_under_the_gate_is_never_refused(signed: tuple[Sealward, Running]) -> None:
    """Stop, start, managed save and restore, a restart of libvirt."""
    sealward, guest = signed
    for _ in range(2):
        guest.domain.create()
        guest.domain.managedSave()
        guest.domain.create()
        guest.node.restart()
        until(lambda: answers(guest))
        until(lambda: sealward.is_valid(guest.server_id) == "true")
        guest.domain.destroy()
    assert sealward.validate(guest.server_id) == "true"
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]

    assert all(one["data"]["is_valid"] == "true" for one in events if one["type"] == "sign.validated")
    assert sealward.ask("GET", "/v1/events?type=start.tolerated").json["events"] == []


def test_after_a_restore_that_failed_a_start_is_compared_as_a_whole(
    signed: tuple[Sealward, Running],
) -> None:
    """What libvirt announces as a restore is one only when it has what libvirt expanded here before."""
    sealward, guest = signed
    guest.domain.create()
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] == "SUCCESS")
    guest.domain.managedSave()
    guest.domain.create()
    assert guest.domain.isActive()
    guest.domain.destroy()

    mark = guest.node.daemon.folder / "in" / "coming" / guest.guest.name
    mark.write_bytes(b"")  # as a restore leaves it that fails before QEMU is prepared
    guest.redefine("qemu64", "qemu32")
    with pytest.raises(libvirt.libvirtError) as refused:
        guest.domain.create()
    assert "cpu: /domain/cpu" in str(refused.value)
    assert not mark.exists()


def test_a_console_that_is_changed_while_the_server_runs_is_false(node: PrivateNode) -> None:
    """The definition and not the server itself: it starts with it next time."""
    guest = node.run(Guest(node.guests))
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        guest.redefine("127.0.0.1", "127.0.0.2")
        until(lambda: sealward.is_valid(guest.server_id) == "false")
        guest.redefine("127.0.0.2", "127.0.0.1")
        until(lambda: sealward.is_valid(guest.server_id) == "true")
