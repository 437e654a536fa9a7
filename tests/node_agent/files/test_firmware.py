"""The firmware folders of a node, measured: everything in them counts, and the start gate can ask offline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from sealward.node_agent.files import firmware as firmware_module
from sealward.node_agent.files.firmware import Firmware
from sealward.node_agent.files.refusals import FilesBeingMeasured, FileUnreadable
from sealward.node_agent.gate.decision import dossier
from sealward.node_agent.ledger.ledger import Ledger

T = TypeVar("T")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Yield an empty ledger."""
    one = Ledger(tmp_path / "ledger.sqlite")
    yield one
    one.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder as OVMF's."""
    place = tmp_path / "OVMF"
    (place / "sub").mkdir(parents=True)
    (place / "CODE.fd").write_bytes(b"code")
    (place / "sub" / "VARS.fd").write_bytes(b"vars")
    (place / "OVMF.fd").symlink_to("CODE.fd")
    (place / "linked").symlink_to("sub")
    return place


class Files:
    """Files that are measured by a function."""

    def __init__(self, content: Callable[[Path], str]) -> None:
        self.content = content

    def visit_firmware(self, call: Callable[[], T]) -> T:
        """Make a call."""
        return call()

    def enter(self, path: Path) -> None:
        """Do nothing about a path."""


def _is_intact(ledger: Ledger) -> bool:
    """Return what the start gate reads of a node's firmware."""
    return dossier.read(str(ledger.folder), "").is_firmware_intact


def _text(path: Path) -> str:
    return path.read_text()


def test_all_files_and_links_below_count(ledger: Ledger, folder: Path) -> None:
    """A link by its target: what it points to may be anywhere."""
    os.mkfifo(folder / "fifo")

    assert Firmware([folder], Files(_text), ledger).measure() == {
        str(folder / "CODE.fd"): "code",
        str(folder / "OVMF.fd"): "link to CODE.fd",
        str(folder / "fifo"): "neither a file nor a link",
        str(folder / "linked"): "link to sub",
        str(folder / "sub" / "VARS.fd"): "vars",
    }


def test_what_is_not_there_or_not_readable_counts_as_that(ledger: Ledger, tmp_path: Path) -> None:
    """A folder that appears later is a change, and so is a file that can be read no more."""

    def unreadable(path: Path) -> str:
        raise FileUnreadable(str(path))

    (tmp_path / "file").write_bytes(b"")
    found = Firmware([tmp_path / "nowhere", tmp_path / "file"], Files(unreadable), ledger).measure()

    assert found == {str(tmp_path / "nowhere"): "absent", str(tmp_path / "file"): "unreadable"}


def test_the_number_of_files_is_bounded(
    ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder / that was named by mistake is refused with a reason."""
    monkeypatch.setattr(firmware_module, "MAX_FILES", 2)
    found = Firmware([folder], Files(_text), ledger).measure() or {}

    assert len(found) == 3
    assert found["more"] == "than 2 files"


def test_what_takes_long_is_no_news_yet(ledger: Ledger, folder: Path) -> None:
    """Half a measurement is none."""

    def slow(path: Path) -> str:
        raise FilesBeingMeasured(str(path))

    assert Firmware([folder], Files(slow), ledger).measure() is None


def test_a_node_without_folders_says_nothing_unless_something_was_accepted(ledger: Ledger) -> None:
    """Taking the setting away does not make a violation go away."""
    firmware = Firmware([], Files(_text), ledger)
    before = firmware.measure()
    firmware.accept({"/fw": "root"})

    assert before is None
    assert firmware.measure() == {}
    assert not _is_intact(ledger)


def test_the_start_gate_can_ask(ledger: Ledger, folder: Path) -> None:
    """From the ledger alone: what was accepted, and what was found last."""
    firmware = Firmware([folder], Files(_text), ledger)
    assert _is_intact(ledger)
    firmware.accept(firmware.measure())
    assert _is_intact(ledger)
    (folder / "CODE.fd").write_bytes(b"evil")
    firmware.measure()
    assert not _is_intact(ledger)
    (folder / "CODE.fd").write_bytes(b"code")
    firmware.measure()
    assert _is_intact(ledger)
