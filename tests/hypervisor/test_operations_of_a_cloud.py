"""One guest through the operations of a cloud, as its drivers make them: which verdict each of them leaves.

The operations are those of nova's libvirt driver (nova/virt/libvirt/driver.py): what it calls of libvirt is
called here, in its order. An operation that changes what was signed is false until the server is signed anew;
every other operation leaves no event but a true.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libvirt
import pytest
from nodes import CONFIG, LIVE, PrivateNode, Running, watching
from running import Running as Sealward
from running import until

from stack.guest import Guest, make_disk

NIC = "<interface type='user'><mac address='fa:16:3e:99:00:01'/><model type='virtio'/></interface>"
VOLUME = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>
<target dev='vdb' bus='virtio'/><serial>0c7a1f0e-0000-4000-8000-000000000001</serial></disk>"""
SECURE = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
COPY = (
    libvirt.VIR_DOMAIN_BLOCK_COPY_SHALLOW
    | libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT
    | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
)
BOTH = LIVE | CONFIG


@dataclass
class Operation:
    """What is called, and whether what was signed is something else after it."""

    call: Callable[[Running], object]
    is_a_change: bool = False


def hard_reboot(guest: Running) -> None:
    """Destroy, undefine, define what was kept of the instance, start."""
    xml = str(guest.domain.XMLDesc(SECURE))
    guest.domain.destroy()
    guest.domain.undefine()
    guest.node.connection.defineXML(xml).create()


def regenerated(guest: Running) -> None:
    """Start from an XML that was made anew by a nova that was upgraded: its version, when it was made."""
    xml = str(guest.domain.XMLDesc(SECURE))
    again = xml.replace("2026-11-20 06:35:11", "2026-11-30 07:00:00").replace("27.1.0", "32.0.1")
    assert again != xml
    guest.domain.destroy()
    guest.domain.undefine()
    guest.node.connection.defineXML(again).create()


def stop_and_start(guest: Running) -> None:
    """`openstack server stop`, `start`."""
    guest.domain.destroy()
    guest.domain.create()


def pause(guest: Running) -> None:
    """`pause`, `unpause`."""
    guest.domain.suspend()
    guest.domain.resume()


def suspend(guest: Running) -> None:
    """`suspend`, `resume`: a managed save, and a start from it."""
    guest.domain.managedSave()
    guest.domain.create()


def live_image(guest: Running) -> None:
    """`image create`: undefine, copy, abort, define."""
    xml = str(guest.domain.XMLDesc(SECURE))
    guest.domain.undefine()
    image = make_disk(guest.guest.folder / "image")
    guest.domain.blockCopy(
        "vda", f"<disk type='file'><source file='{image}'/><driver type='qcow2'/></disk>", {}, COPY
    )
    guest.domain.blockJobAbort("vda")
    guest.node.connection.defineXML(xml)


def quiesced(guest: Running) -> None:
    """A consistent image of a guest without an agent: libvirt refuses, nova goes on."""
    with pytest.raises(libvirt.libvirtError):
        guest.domain.fsFreeze()


def attach_volume(guest: Running) -> None:
    """`server add volume`, before anybody has signed it."""
    volume = make_disk(guest.guest.folder / "volume")
    guest.domain.attachDeviceFlags(VOLUME.format(volume), BOTH)


def detach_volume(guest: Running) -> None:
    """`server remove volume`: put back, it is what was signed."""
    guest.domain.detachDeviceFlags(VOLUME.format(guest.guest.folder / "volume"), CONFIG)
    guest.domain.destroy()
    guest.domain.create()


def attach_interface(guest: Running) -> None:
    """`server add port`."""
    guest.domain.attachDeviceFlags(NIC, CONFIG)


def detach_interface(guest: Running) -> None:
    """`server remove port`."""
    guest.domain.detachDeviceFlags(NIC, CONFIG)


def resize(guest: Running) -> None:
    """Another flavor: more memory, made of the definition."""
    xml = str(guest.domain.XMLDesc(SECURE))
    guest.domain.destroy()
    guest.domain.undefine()
    guest.node.connection.defineXML(xml.replace("131072", "196608")).create()


def revert(guest: Running) -> None:
    """Back to the flavor before."""
    xml = str(guest.domain.XMLDesc(SECURE))
    guest.domain.destroy()
    guest.domain.undefine()
    guest.node.connection.defineXML(xml.replace("196608", "131072")).create()


LIFE: dict[str, Operation] = {
    "soft reboot": Operation(lambda guest: guest.domain.reset()),
    "pause, unpause": Operation(pause),
    "stop, start": Operation(stop_and_start),
    "suspend, resume": Operation(suspend),
    "hard reboot": Operation(hard_reboot),
    "live image": Operation(live_image),
    "a freeze that fails": Operation(quiesced),
    "restart of libvirt": Operation(lambda guest: guest.node.restart()),
    "console log read": Operation(lambda guest: guest.domain.XMLDesc(0)),
    "attach a volume": Operation(attach_volume, is_a_change=True),
    "detach the volume": Operation(detach_volume),
    "attach an interface": Operation(attach_interface, is_a_change=True),
    "detach the interface": Operation(detach_interface),
    "resize": Operation(resize, is_a_change=True),
    "revert the resize": Operation(revert),
    "hard reboot, at the end": Operation(hard_reboot),
}
"""In the order in which one server lives through them."""


@pytest.fixture
def sealward(guest: Running) -> Iterator[Sealward]:
    """Return a Sealward that watches the node of `guest`, which is signed."""
    with watching(guest.node, sweep_interval=1.0) as one:
        one.sign(guest.server_id)
        yield one


def looked_at(sealward: Sealward, guest: Running) -> str:
    """Have the server measured now; return the verdict."""
    task = sealward.ask("POST", f"/v1/sign/{guest.server_id}/validate").json["task_id"]
    until(lambda: sealward.task(task)["state"] in {"SUCCESS", "FAILURE"})
    return sealward.is_valid(guest.server_id)


def test_a_server_lives_through_the_operations_of_a_cloud(sealward: Sealward, guest: Running) -> None:
    """False after those that change what was signed, and never after the others."""
    seen: dict[str, str] = {}
    for name, operation in LIFE.items():
        operation.call(guest)
        wanted = "false" if operation.is_a_change else "true"
        with contextlib.suppress(AssertionError):  # said below, with what was found
            until(lambda wanted=wanted: looked_at(sealward, guest) == wanted, 15)  # type: ignore[misc]  # a default
        verdict = sealward.verdict(guest.server_id)
        seen[name] = verdict["is_valid"]
        assert seen[name] == wanted, (name, verdict["findings"])
    events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]
    false = [one for one in events if one["data"].get("is_valid") == "false"]

    assert seen == {name: "false" if one.is_a_change else "true" for name, one in LIFE.items()}
    assert sealward.ask("GET", "/v1/events?type=instance.left").json["events"] == [] or false
    assert len({one["data"]["fingerprint"] for one in false}) >= 3


def test_a_definition_that_a_newer_nova_made_is_no_change(node: PrivateNode) -> None:
    """Its version stands in the package, and when the definition was made."""
    guest = node.run(Guest(node.guests))
    with watching(node) as sealward:
        sealward.sign(guest.server_id)
        regenerated(guest)
        until(lambda: looked_at(sealward, guest) == "true", 20)
        events = sealward.ask("GET", f"/v1/sign/{guest.server_id}/events").json["events"]

        assert all(one["data"].get("is_valid") != "false" for one in events)
