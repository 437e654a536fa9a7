"""The start gate on a real libvirtd: what is not as it was signed does not start, and says why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import libvirt
import pytest
from nodes import PrivateNode, Running
from running import Running as Sealward
from running import running, until

from sealward.node_agent.gate import hook
from sealward.node_agent.gate.decision.dossier import read
from stack.guest import Guest

QEMU = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
ARGUMENT = "<qemu:commandline><qemu:arg value='-nographic'/></qemu:commandline></domain>"
USB = "<source><vendor id='0x1234'/><product id='0x5678'/></source>"
HOSTDEV = f"<hostdev mode='subsystem' type='usb'>{USB}</hostdev></devices>"
STRICT = {"on_start": "refuse"}


@pytest.fixture
def gated(node: PrivateNode) -> Iterator[Sealward]:
    """Return a Sealward whose node has the gate, installed before its libvirtd last started."""
    folder = node.daemon.folder / "sw"
    hook.install(
        node.daemon.hooks_dir, folder / "node", folder / "node" / "gate.sock", node.daemon.folder / "in"
    )
    node.restart()
    node.define(Guest(node.guests))
    with running(folder, settings=node.settings(sweep_interval=1.0)) as sealward:
        yield sealward


def signed(node: PrivateNode, sealward: Sealward, guest: Guest) -> Running:
    """Define a guest, sign it, and have the node refuse what is not as signed."""
    defined = node.define(guest)
    until(lambda: sealward.ask("GET", "/v1/server?node_id=1").json["servers"] != [])
    assert sealward.sign(defined.server_id)["is_valid"] == "true"
    position = sealward.ask("PUT", "/v1/node/1/policy", STRICT).json["policy"]["position"]
    until(lambda: sealward.embedded.agent.policies.of("").set_by == position)
    return defined


def refusal(start: Callable[[], object]) -> str:
    """Return what the API caller is told."""
    began = time.monotonic()
    with pytest.raises(libvirt.libvirtError) as refused:
        start()
    assert time.monotonic() - began < 2.5
    assert refused.value.get_error_code() == libvirt.VIR_ERR_HOOK_SCRIPT_FAILED
    return str(refused.value)


def refusals(sealward: Sealward, topic: str = "start.refused") -> list[dict[str, object]]:
    """Return what is recorded."""
    return [one["data"] for one in sealward.ask("GET", f"/v1/events?type={topic}").json["events"]]


def test_what_is_as_signed_starts(node: PrivateNode, gated: Sealward) -> None:
    """And nothing is recorded."""
    guest = signed(node, gated, Guest(node.guests))
    guest.domain.create()

    assert guest.domain.isActive()
    assert gated.validate(guest.server_id) == "true"
    assert refusals(gated) == refusals(gated, "start.tolerated") == []


@pytest.mark.parametrize(
    ("change", "section", "xpath"),
    [
        (("<memory unit='KiB'>131072", "<memory unit='KiB'>262144"), "memory", "/domain/memory/text()"),
        (("<boot dev='hd'/>", "<boot dev='network'/>"), "boot", "/domain/os/boot"),
        (("</devices>", HOSTDEV), "hostdevs", "/domain/devices/hostdev"),
        (("qemu64", "qemu32"), "cpu", "/domain/cpu/model/text()"),
    ],
)
def test_what_was_changed_does_not_start(
    node: PrivateNode, gated: Sealward, change: tuple[str, str], section: str, xpath: str
) -> None:
    """Section and XPath stand in the error, and the refusal is an event."""
    guest = signed(node, gated, Guest(node.guests))
    guest.redefine(*change)
    text = refusal(guest.domain.create)

    assert f"{section}: {xpath}" in text
    until(lambda: len(refusals(gated)) == 1)
    (event,) = refusals(gated)
    assert (event["server_id"], event["reason"]) == (guest.server_id, "measurement-differs")
    assert section in {one["section"] for one in event["findings"]}  # type: ignore[attr-defined]  # JSON


def test_another_initrd_or_a_qemu_argument_does_not_start(node: PrivateNode, gated: Sealward) -> None:
    """What somebody would boot instead, and what libvirt does not look into."""
    guest = signed(node, gated, replace(Guest(node.guests), boots=True))
    xml = guest.config
    evil = guest.guest.initrd.with_name("evil")
    evil.write_bytes(guest.guest.initrd.read_bytes())
    guest.redefine(str(guest.guest.initrd), str(evil))
    other_initrd = refusal(guest.domain.create)
    changed = xml.replace("<domain type='qemu'", f"<domain type='qemu' {QEMU}").replace("</domain>", ARGUMENT)
    node.connection.defineXML(changed)
    argument = refusal(guest.domain.create)
    node.connection.defineXML(xml)
    guest.domain.undefine()
    transient = refusal(lambda: node.connection.createXML(changed))

    assert "boot: /domain/os/initrd" in other_initrd
    assert "qemu-ext: /domain/qemu:commandline" in argument
    assert "qemu-ext: /domain/qemu:commandline" in transient


def test_an_unsigned_server_starts_unless_the_policy_says_otherwise(
    node: PrivateNode, gated: Sealward
) -> None:
    """A name that a signed server has does not help another one."""
    guest = signed(node, gated, Guest(node.guests))
    other = node.define(replace(Guest(node.guests), number=2))
    other.domain.create()
    other.domain.destroy()
    gated.ask("PUT", "/v1/node/1/policy", STRICT | {"unsigned": "refuse"})
    until(lambda: gated.embedded.agent.policies.of("").policy.unsigned == "refuse")
    text = refusal(other.domain.create)
    guest.domain.create()

    assert "nobody signed it" in text
    assert guest.domain.isActive()


def test_observed_it_starts_and_is_recorded(node: PrivateNode, gated: Sealward) -> None:
    """The default: nothing is refused, all is known."""
    guest = signed(node, gated, Guest(node.guests))
    gated.ask("PUT", f"/v1/sign/{guest.server_id}/policy", {"on_start": "observe"})
    until(lambda: gated.embedded.agent.policies.of(guest.server_id).policy.on_start == "observe")
    guest.redefine("qemu64", "qemu32")
    guest.domain.create()

    until(lambda: len(refusals(gated, "start.tolerated")) == 1)
    assert refusals(gated) == []


def test_a_gate_that_is_gone_is_reported(node: PrivateNode, gated: Sealward) -> None:
    """Libvirt passes over a hook that is not there; the node says so, and says when it is back."""

    def shown() -> tuple[str, str | None]:
        node_ = gated.ask("GET", "/v1/node/1").json["node"]
        return node_["enforcement"], node_["enforcement_reason"]

    until(lambda: shown() == ("active", None))
    script = node.daemon.hooks_dir / "qemu.d" / "sealward"
    text = script.read_text()
    script.unlink()
    until(lambda: shown() == ("degraded", "hook-missing"))
    script.write_text(text)
    until(lambda: shown() == ("degraded", "hook-not-executable"))
    script.chmod(0o755)
    until(lambda: shown() == ("active", None))


def test_restore_and_restart_pass_the_gate(node: PrivateNode, gated: Sealward) -> None:
    """A restored server is shown as it runs; nothing on stdout becomes its XML; a restart asks nobody."""
    guest = signed(node, gated, Guest(node.guests))
    guest.domain.create()
    guest.domain.managedSave()
    guest.domain.create()
    node.restart()

    assert guest.domain.isActive()
    until(lambda: gated.validate(guest.server_id) == "true")  # libvirt was away
    assert refusals(gated) == refusals(gated, "start.tolerated") == []


def test_a_migration_passes_the_gate(two_nodes: tuple[PrivateNode, PrivateNode]) -> None:
    """The filter of the hook leaves the XML as it is; an unsigned server is received where it may start."""
    source, destination = two_nodes
    folder = destination.daemon.folder / "sw"
    hook.install(
        destination.daemon.hooks_dir,
        folder / "node",
        folder / "node" / "gate.sock",
        destination.daemon.folder / "in",
    )
    destination.restart()
    guest = source.run(Guest(source.guests))
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNSAFE
    uri = f"unix://{destination.daemon.folder}/m.sock"
    guest.domain.migrate3(destination.connection, {libvirt.VIR_MIGRATE_PARAM_URI: uri}, flags)

    assert destination.connection.lookupByUUIDString(guest.server_id).isActive()


def test_without_its_agent_the_gate_decides_alone(node: PrivateNode, gated: Sealward) -> None:
    """From the ledger; what it refused meanwhile is recorded once the agent is back, and only once."""
    guest = signed(node, gated, Guest(node.guests))
    guest.redefine("qemu64", "qemu32")
    gated.embedded.agent.stop()
    text = refusal(guest.domain.create)
    folder = node.daemon.folder / "sw"
    assert "cpu: /domain/cpu/model/text(): 'qemu64' -> 'qemu32'" in text
    assert len(list((folder / "node" / "spool").glob("*.json"))) == 1
    gated.embedded.stop()
    with running(folder, settings=node.settings(sweep_interval=1.0)) as again:
        until(lambda: len(refusals(again)) == 1)
        until(lambda: not list((folder / "node" / "spool").glob("*.json")))
        assert len(refusals(again)) == 1


def test_a_tampered_initrd_does_not_start(node: PrivateNode, gated: Sealward) -> None:
    """The XML is the same; what would boot is not. As it was again, it starts."""
    guest = signed(node, gated, replace(Guest(node.guests), boots=True))
    good = guest.guest.initrd.read_bytes()
    guest.guest.initrd.write_bytes(good[:-1] + b"!")
    told = refusal(guest.domain.create)
    gated.embedded.agent.stop()
    alone = refusal(guest.domain.create)
    guest.guest.initrd.write_bytes(good)
    guest.domain.create()

    assert f'files: /domain/files/file[@path="{guest.guest.initrd}"]/@content' in told
    assert f'files: /domain/files/file[@path="{guest.guest.initrd}"]/@content' in alone


def test_a_running_server_can_be_reverted_to_an_internal_snapshot(node: PrivateNode, gated: Sealward) -> None:
    """It is killed, and started from the running form that libvirt kept; not with an evil initrd."""
    guest = signed(node, gated, replace(Guest(node.guests), boots=True))
    guest.domain.create()
    task = gated.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: gated.task(task)["state"] == "SUCCESS")
    guest.domain.snapshotCreateXML("<domainsnapshot><name>one</name></domainsnapshot>")
    guest.domain.revertToSnapshot(guest.domain.snapshotLookupByName("one"))
    assert guest.domain.isActive()
    guest.guest.initrd.write_bytes(guest.guest.initrd.read_bytes() + b"!")

    told = refusal(lambda: guest.domain.revertToSnapshot(guest.domain.snapshotLookupByName("one")))
    assert f'files: /domain/files/file[@path="{guest.guest.initrd}"]/@content' in told


def test_what_libvirt_expanded_for_an_earlier_reference_counts_no_more(
    node: PrivateNode, gated: Sealward
) -> None:
    """A processor that was signed once is another than the one that is signed now."""
    guest = signed(node, gated, Guest(node.guests))
    guest.domain.create()
    task = gated.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: gated.task(task)["state"] == "SUCCESS")
    earlier = read(f"{node.daemon.folder}/sw/node", guest.server_id).expanded
    guest.domain.destroy()
    guest.redefine("qemu64", "qemu32")
    assert gated.ask("PUT", "/v1/sign", {"server_id": guest.server_id}).status in (200, 202)

    assert earlier
    until(lambda: not earlier & read(f"{node.daemon.folder}/sw/node", guest.server_id).expanded)
