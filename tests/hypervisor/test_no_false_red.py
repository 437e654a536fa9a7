"""What a server goes through in its life without being changed: its verdict stays true all the while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from nodes import CONFIG, PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import Guest


def stays_true(sealward: Sealward, guest: Running) -> None:
    """Have the guest looked at; nothing but true may ever have been said of it."""
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] == "SUCCESS")
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    said = [one["data"] for one in events if one["type"] == "sign.validated"]

    assert {one["is_valid"] for one in said} == {"true"}, said
    assert sealward.is_valid(guest.server_id) == "true"


def stop_and_start(guest: Running) -> None:
    """Switch it off and on again."""
    guest.domain.destroy()
    guest.domain.create()


def suspend_and_resume(guest: Running) -> None:
    """Let it stand still for a moment."""
    guest.domain.suspend()
    guest.domain.resume()


def save_and_restore(guest: Running) -> None:
    """Write its memory to a file and go on from there."""
    guest.domain.managedSave()
    guest.domain.create()


LIFE: dict[str, Callable[[Running], object]] = {
    "stop and start": stop_and_start,
    "reset": lambda guest: guest.domain.reset(),
    "suspend and resume": suspend_and_resume,
    "managed save and restore": save_and_restore,
    "restart of libvirt": lambda guest: guest.node.restart(),
    "redefined from its own dump": lambda guest: guest.redefine("qemu64", "qemu64"),
}


@pytest.fixture
def sealward(guest: Running) -> Iterator[Sealward]:
    """Return a Sealward that watches the node of `guest`, which is signed."""
    with watching(guest.node) as one:
        one.sign(guest.server_id)
        yield one


def test_a_server_stays_true_over_its_life(sealward: Sealward, guest: Running) -> None:
    """One after the other, as they come in a life."""
    for step in LIFE.values():
        step(guest)
        until(lambda: sealward.is_valid(guest.server_id) == "true")
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]

    assert all(one["data"]["is_valid"] != "false" for one in events if one["type"] == "sign.validated")


@pytest.mark.parametrize("step", sorted(LIFE.keys() - {"restart of libvirt"}))
def test_each_step_of_its_life_is_no_event(sealward: Sealward, guest: Running, step: str) -> None:
    """Not even a moment of doubt."""
    LIFE[step](guest)

    stays_true(sealward, guest)


def test_a_server_signed_while_it_is_off_is_true_when_it_runs(node: PrivateNode) -> None:
    """The running form has what libvirt adds at start, and that is no change."""
    guest = node.define(Guest(node.guests))
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        guest.domain.create()
        stays_true(sealward, guest)
        guest.domain.destroy()
        stays_true(sealward, guest)


def test_firmware_that_writes_its_variables_is_true_boot_after_boot(node: PrivateNode) -> None:
    """The NVRAM is made at the first start and differs after every boot."""
    guest = node.define(replace(Guest(node.guests), uefi=True))
    nvram = node.daemon.folder / "lib" / "qemu" / "nvram" / f"{guest.guest.name}_VARS.fd"
    contents = []
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        for _ in range(2):
            before = nvram.read_bytes() if nvram.exists() else b""
            guest.domain.create()
            until(lambda before=before: nvram.exists() and nvram.read_bytes() != before, 30)  # type: ignore[misc]  # a default
            stays_true(sealward, guest)
            guest.domain.destroy()
            contents.append(nvram.read_bytes())
            stays_true(sealward, guest)

    assert contents[0] != contents[1]


def test_a_serial_port_as_nova_writes_it_signed_off_is_true_when_it_runs(node: PrivateNode) -> None:
    """At its start libvirt writes that the port is not encrypted, which qemu.conf decides."""
    port = (
        "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='0'/><protocol type='raw'/>"
        "<target type='isa-serial' port='1'/></serial>"
    )
    guest = node.define(replace(Guest(node.guests), extra=port))
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        guest.domain.create()
        stays_true(sealward, guest)
        save_and_restore(guest)
        stays_true(sealward, guest)


def test_a_pinning_that_was_not_there_is_a_change(sealward: Sealward, guest: Running) -> None:
    """Where it is pinned to is the node's; that it is pinned is the server's."""
    guest.domain.pinVcpuFlags(0, (True, False), CONFIG)
    until(lambda: sealward.is_valid(guest.server_id) == "false")
