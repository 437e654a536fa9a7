"""The `<files>` of real domains on real files: what is in it, and what each kind of tampering changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from images import qemu_img
from running import until

from sealward.events.comparison.measurement import Finding
from sealward.node_agent.files import measurer as measurer_module
from sealward.node_agent.files.content.cache import Cache
from sealward.node_agent.files.content.contents import Terms
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.files.refusals import FileMissing, NetworkDisk
from sealward.node_agent.measuring import canonical

SERVER = "bdfe7b89-4d44-4edb-af5a-de8733aa3eba"
MIB = 1024 * 1024


class Guest:
    """A domain with a kernel, firmware, an ISO, a chain of two layers and a raw disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("vmlinuz", "initrd", "CODE.fd", "VARS.fd", "seed.iso"):
            self.path(name).write_bytes(f"content of {name}".encode() * 100)
        qemu_img("create", "-f", "raw", self.path("base.raw"), "9M")
        layers = ("-f", "qcow2", "-b", "base.raw", "-F", "raw")
        qemu_img("create", *layers, self.path("middle.qcow2"))
        qemu_img(
            "create", "-f", "qcow2", "-b", self.path("middle.qcow2"), "-F", "qcow2", self.path("disk.qcow2")
        )
        qemu_img("create", "-f", "raw", self.path("data.raw"), "1M")
        self.devices = "".join(
            f"<disk type='file' device='{device}'><driver type='{kind}'/><source file='{self.path(name)}'/>"
            f"<target dev='{target}'/></disk>"
            for device, kind, name, target in (
                ("disk", "qcow2", "disk.qcow2", "vda"),
                ("disk", "raw", "data.raw", "vdb"),
                ("cdrom", "raw", "seed.iso", "sda"),
            )
        )

    def path(self, name: str) -> Path:
        """Return where a file lies."""
        return self.folder / name

    def xml(self, more: str = "") -> str:
        """Return the domain."""
        boot = (
            f"<loader readonly='yes' type='pflash'>{self.path('CODE.fd')}</loader>"
            f"<nvram template='{self.path('VARS.fd')}'>{self.path('nvram.fd')}</nvram>"
            f"<kernel>{self.path('vmlinuz')}</kernel><initrd>{self.path('initrd')}</initrd>"
        )
        return f"<domain><os>{boot}</os><devices>{self.devices}{more}</devices></domain>"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Return a guest with files of its own."""
    return Guest(tmp_path)


@pytest.fixture
def measurer() -> Iterator[FileMeasurer]:
    """Yield a measurer whose cache dies with it."""
    one = FileMeasurer(Cache(None), lambda _: None, 3600.0)
    one.start()
    yield one
    one.stop()


def _files(measurer: FileMeasurer, xml: str) -> list[dict[str, str]]:
    files = measurer.look(SERVER, "QEMU", fresh=True)(canonical.parse(xml))
    return [dict(one.attrib) for one in files]


def test_every_file_has_its_facts(guest: Guest, measurer: FileMeasurer) -> None:
    """Content of what is only read, identity of what is written to."""
    files = _files(measurer, guest.xml())
    with_content = [Path(one["path"]).name for one in files if "content" in one]
    by_name = {Path(one["path"]).name: one for one in files}

    assert with_content == ["vmlinuz", "initrd", "CODE.fd", "VARS.fd", "middle.qcow2", "base.raw", "seed.iso"]
    assert by_name["nvram.fd"] == {"role": "nvram", "path": str(guest.path("nvram.fd"))}
    assert by_name["disk.qcow2"] == {
        "role": "disk",
        "target": "vda",
        "layer": "0",
        "path": str(guest.path("disk.qcow2")),
        "format": "qcow2",
        "size": str(9 * MIB),
        "backing": str(guest.path("middle.qcow2")),
        "backing-format": "qcow2",
    }
    assert by_name["data.raw"]["size"] == str(MIB)
    assert (by_name["base.raw"]["layer"], by_name["base.raw"]["format"]) == ("2", "raw")


def _append(guest: Guest, name: str) -> None:
    with guest.path(name).open("ab") as file:
        file.write(b"!")


@pytest.mark.parametrize(
    ("tamper", "changed"),
    [
        (lambda guest: _append(guest, "initrd"), {"initrd": {"content"}}),
        (lambda guest: _append(guest, "CODE.fd"), {"CODE.fd": {"content"}}),
        (lambda guest: _append(guest, "seed.iso"), {"seed.iso": {"content", "size"}}),
        (
            lambda guest: guest.path("middle.qcow2").write_bytes(
                guest.path("middle.qcow2").read_bytes() + b"!"
            ),
            {"middle.qcow2": {"content"}},
        ),
        (
            lambda guest: qemu_img(
                "rebase", "-u", "-b", guest.path("middle.qcow2"), "-F", "raw", guest.path("disk.qcow2")
            ),
            {"disk.qcow2": {"backing-format"}, "middle.qcow2": {"format", "size", "backing"}},
        ),
        (
            lambda guest: qemu_img("resize", "-f", "raw", guest.path("data.raw"), "2M"),
            {"data.raw": {"size"}},
        ),
    ],
)
def test_tampering_changes_what_was_tampered_with(
    guest: Guest, measurer: FileMeasurer, tamper: Callable[[Guest], object], changed: dict[str, set[str]]
) -> None:
    """And nothing else of what is left."""
    before = {Path(one["path"]).name: one for one in _files(measurer, guest.xml())}
    tamper(guest)
    after = {Path(one["path"]).name: one for one in _files(measurer, guest.xml())}
    differing = {
        name: {key for key, value in before[name].items() if after[name].get(key) != value}
        for name in after
        if after[name] != before[name]
    }

    assert {name: keys & changed.get(name, set()) for name, keys in differing.items()} == changed


def test_what_a_guest_and_its_firmware_write_changes_nothing(guest: Guest, measurer: FileMeasurer) -> None:
    """Disk content, allocation, and NVRAM that appears at the first start."""
    before = _files(measurer, guest.xml())
    guest.path("nvram.fd").write_bytes(b"vars")
    with guest.path("data.raw").open("r+b") as file:
        file.write(b"written")
    qemu_img("bench", "-f", "qcow2", "-w", "-c", "20", guest.path("disk.qcow2"))

    assert _files(measurer, guest.xml()) == before


def test_missing_files_and_network_disks_are_no_facts(guest: Guest, measurer: FileMeasurer) -> None:
    """They are reasons for unknown, each of its own file; an image that may be missing is recorded so."""
    network = "<disk type='network'><source protocol='rbd' name='x'/><target dev='vdz'/></disk>"
    all_else = _files(measurer, guest.xml())
    assert _files(measurer, guest.xml(network)) == [
        *all_else,
        {"role": "disk", "target": "vdz", "unread": NetworkDisk.code},
    ]
    optional = (
        "<disk device='cdrom'><source file='/nowhere' startupPolicy='optional'/><target dev='sdb'/></disk>"
    )
    assert _files(measurer, guest.xml(optional))[-1]["missing"] == "yes"
    guest.path("base.raw").unlink()
    found = _files(measurer, guest.xml())
    assert {"role": "disk", "target": "vda", "unread": FileMissing.code} in found
    assert [one for one in found if "unread" not in one] == [
        one for one in all_else if not one.get("path", "").endswith("base.raw")
    ]


def test_a_change_is_heard_of_as_it_happens(guest: Guest) -> None:
    """Content, attributes, a file that comes back; nobody is told of a file that no server uses."""
    guest.path("base.raw").rename(guest.path("away"))
    told: list[str] = []
    one = FileMeasurer(Cache(None), told.append, 3600.0)
    one.start()
    assert FileMissing.code in [file.get("unread") for file in _files(one, guest.xml())]
    until(lambda: guest.folder in one._watch._watches)
    guest.path("unused").write_bytes(b"x")
    guest.path("away").rename(guest.path("base.raw"))
    assert until(lambda: told != []) < 1
    assert told == [SERVER]  # of what changed first somebody would have been told first
    _files(one, guest.xml())
    changes: tuple[Callable[[], object], ...] = (
        lambda: _append(guest, "initrd"),
        lambda: guest.path("vmlinuz").chmod(0o600),
        lambda: guest.path("seed.iso").unlink(),
    )
    for change in changes:
        told.clear()
        change()
        assert until(lambda: SERVER in told) < 1
        if guest.path("seed.iso").exists():
            _files(one, guest.xml())
    one.forget(SERVER)
    until(lambda: not one._watch._watches)
    one.stop()


def test_a_changed_content_has_an_offset(guest: Guest, measurer: FileMeasurer) -> None:
    """A finding's XPath goes on to where in the file the change begins."""
    signed = {one["role"]: one for one in _files(measurer, guest.xml())}
    base = next(one for one in _files(measurer, guest.xml()) if one["path"].endswith("base.raw"))
    with guest.path("base.raw").open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"!")
    found = next(one for one in _files(measurer, guest.xml()) if one["path"].endswith("base.raw"))
    xpath = f'/domain/files/file[@path="{base["path"]}"]/@content'

    finding = Finding("files", xpath, base["content"], found["content"])
    assert measurer.localised(finding).xpath == f"{xpath} at {4 * MIB}"
    assert measurer.localised(Finding("boot", "/domain/os/@x", "a", "b")).xpath == "/domain/os/@x"
    assert signed["kernel"]["content"] != base["content"]


def test_boot_files_are_read_again_soon_after_a_look_that_does_not_insist(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep takes what is known and has it checked behind its back; a fresh look waits for it."""
    monkeypatch.setattr(measurer_module, "BOOT_AGE", 0.0)
    asked: list[tuple[str, Terms]] = []

    class Contents:
        def root(self, path: Path, terms: Terms) -> str:
            asked.append((path.name, terms))
            return "root"

    one = FileMeasurer(Cache(None), lambda _: None, 3600.0)
    one._contents.stop()
    one._contents = Contents()  # type: ignore[assignment]  # as far as a look needs it
    for fresh in (False, True):
        one.look(SERVER, "QEMU", fresh=fresh)(canonical.parse(guest.xml()))
    kernel = [terms for name, terms in asked if name == "vmlinuz"]
    base = [terms for name, terms in asked if name == "base.raw"]

    assert [(one.newer_than > 0, one.reread_after, one.hurries) for one in kernel] == [
        (False, 0.0, True),
        (True, 0.0, False),
    ]
    assert [(one.newer_than, one.reread_after) for one in base] == [(0.0, None)] * 2


@pytest.mark.parametrize(
    ("mode", "driver", "is_measured"),
    [("auto", "QEMU", True), ("auto", "Test", False), ("no", "QEMU", False), ("yes", "Test", True)],
)
def test_the_test_driver_has_no_files(mode: str, driver: str, *, is_measured: bool) -> None:
    """What is not measured says so, so that it never equals what is; a setting decides otherwise."""
    one = FileMeasurer(Cache(None), lambda _: None, 3600.0, mode=mode)
    files = one.look(SERVER, driver, fresh=True)(canonical.parse("<domain><devices/></domain>"))
    one.stop()

    assert (files.get("measured") != "no") == is_measured
