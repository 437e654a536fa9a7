"""The records of the images of managed saves: an image counts as libvirt has written it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sealward.node_agent.ledger import saved_images
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.saved_images import EXCHANGED, Look, SavedImages

WEB = "5a5a0000-0000-4000-8000-000000000001"
RUNS, OFF = Look(None, is_running=True), Look(None, is_running=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger."""
    one = Ledger(tmp_path / "ledger.sqlite")
    yield one
    one.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return an image."""
    image = tmp_path / "web.save"
    image.write_bytes(b"memory")
    return image


def off(file: Path, *, was_saved: bool = False, is_watched: bool = True) -> Look:
    """Return a look at a server that is off with an image."""
    return Look(str(file), is_running=False, was_saved=was_saved, is_watched=is_watched)


def test_an_image_is_learned_once(ledger: Ledger, file: Path) -> None:
    """By libvirt's event, or by an agent that has just begun to watch; also across agents."""
    assert SavedImages(ledger).taints(WEB, off(file, is_watched=False)) == ()
    file.write_bytes(b"another")
    assert SavedImages(ledger).taints(WEB, off(file, is_watched=False)) == (EXCHANGED,)
    assert SavedImages(ledger).taints(WEB, RUNS) == (EXCHANGED,)
    assert SavedImages(ledger).taints(WEB, OFF) == ()
    assert SavedImages(ledger).taints(WEB, off(file, was_saved=True)) == ()


def test_saving_again_is_no_exchange_and_ends_none(ledger: Ledger, file: Path) -> None:
    """Libvirt's event counts while nothing was exchanged."""
    images = SavedImages(ledger)
    images.taints(WEB, off(file, was_saved=True))
    file.write_bytes(b"saved again")
    assert images.taints(WEB, off(file, was_saved=True)) == ()
    file.write_bytes(b"exchanged")
    assert images.taints(WEB, off(file)) == (EXCHANGED,)
    file.write_bytes(b"saved once more")
    assert images.taints(WEB, off(file, was_saved=True)) == (EXCHANGED,)


def test_a_start_that_failed_keeps_the_record(ledger: Ledger, file: Path) -> None:
    """The image is still there, and another file in its place is exchanged memory."""
    images = SavedImages(ledger)
    images.taints(WEB, off(file, was_saved=True))
    assert images.taints(WEB, RUNS) == ()
    file.write_bytes(b"exchanged")
    assert images.taints(WEB, off(file)) == (EXCHANGED,)
    images.forget(WEB)
    assert images.taints(WEB, RUNS) == (EXCHANGED,)


def test_an_image_without_an_event_waits_and_is_exchanged(
    ledger: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event may be late."""
    images = SavedImages(ledger)
    assert images.taints(WEB, off(file)) == ()
    assert images.is_suspect(WEB)
    assert images.taints(WEB, off(file, was_saved=True)) == ()
    images.forget(WEB)
    assert images.taints(WEB, off(file)) == ()
    monkeypatch.setattr(saved_images, "PATIENCE", 0.0)
    assert images.taints(WEB, off(file)) == (EXCHANGED,)
    assert not images.is_suspect(WEB)


def test_what_cannot_be_seen_is_not_compared(ledger: Ledger, tmp_path: Path) -> None:
    """An agent without the right to search the folder knows nothing."""
    assert SavedImages(ledger).taints(WEB, off(tmp_path / "nowhere" / "web.save", was_saved=True)) == ()
    assert ledger.saved_image(WEB) is None
