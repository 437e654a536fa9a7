"""The images of managed saves of a node's servers, as they were when libvirt had written them.

libvirt keeps the memory of a server that is suspended to disk in a file (virDomainManagedSave), and starts
the server from that file. While the server is off, nothing may change the file. So the ledger has a record of
each image, from the first look at the image after libvirt has said that it saved the server. An image that is
not as recorded was exchanged. So was an image that libvirt has not told of. The server counts as changed then
until it is off without an image.

The record has device, inode, size and mtime of the file. libvirt itself changes only the owner, and with it
the ctime, when a start from the image fails.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sealward.node_agent.ledger.ledger import Ledger

PATIENCE: Final = 2.0
"""Seconds for which libvirt's event may be late that it has saved a server."""
EXCHANGED: Final = "saved-image-exchanged"
"""The taint of a server whose image is not the image that libvirt wrote."""


@dataclass(frozen=True, slots=True)
class SavedImage:
    """The image of a managed save. `was_exchanged` says that it is not the image that libvirt wrote."""

    path: str
    stamp: str
    was_exchanged: bool = False

    @property
    def is_exchanged(self) -> bool:
        """Say whether the file at the path is not the image that libvirt wrote.

        A file that is missing or cannot be seen is not compared.
        """
        now = stamp_of(self.path)
        return self.was_exchanged or now not in {None, self.stamp}


class Look(NamedTuple):
    """A look at a server: where libvirt has the image of a server that is off, or None where it has no image.

    `was_saved` says that libvirt has said, since the last look, that it saved the server. `is_watched` says
    that libvirt's events have been heard since the last look.
    """

    path: str | None
    is_running: bool
    was_saved: bool = False
    is_watched: bool = False


class SavedImages:
    """The records of one node. `forget` is for any thread, and the rest for the thread of one agent."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._suspects: dict[str, float] = {}
        """By server since when (`time.monotonic()`) an image is there that libvirt has not told of."""

    def taints(self, server_id: str, look: Look) -> tuple[str, ...]:
        """Record the image of a server, and return the taint of an exchanged image, if there is one."""
        kept = self._ledger.saved_image(server_id)
        known = None if kept is None else read(kept)
        found = self._running(known) if look.is_running else self._off(server_id, known, look)
        if found != known:
            self._ledger.keep_saved_image(server_id, None if found is None else text(found))
        return (EXCHANGED,) if found is not None and found.was_exchanged else ()

    def is_suspect(self, server_id: str) -> bool:
        """Say whether a server must be looked at again, in PATIENCE seconds."""
        return server_id in self._suspects

    def forget(self, server_id: str) -> None:
        """Forget the image of a server that has started from it, unless the image was exchanged."""
        kept = self._ledger.saved_image(server_id)
        if kept is not None and not read(kept).was_exchanged:
            self._ledger.keep_saved_image(server_id, None)

    def _running(self, known: SavedImage | None) -> SavedImage | None:
        """Return the record of a running server: libvirt removes the image when a start has succeeded."""
        is_needed = known is not None and (known.was_exchanged or stamp_of(known.path) is not None)
        return known if is_needed else None

    def _off(self, server_id: str, known: SavedImage | None, look: Look) -> SavedImage | None:
        """Return the record of a server that is off."""
        now = None if look.path is None else stamp_of(look.path)
        if look.path is None or look.was_saved or known is not None:
            self._suspects.pop(server_id, None)
        if look.path is None:
            return None
        if now is None or (known is not None and known.was_exchanged):
            return known
        if known is not None and not look.was_saved:
            return replace(known, was_exchanged=known.is_exchanged)
        if look.was_saved or not (look.is_watched or self.is_suspect(server_id)):
            return SavedImage(look.path, now)
        return self._unannounced(server_id, SavedImage(look.path, now, was_exchanged=True))

    def _unannounced(self, server_id: str, image: SavedImage) -> SavedImage | None:
        """Return the record of an image that libvirt has not told of, when PATIENCE has passed."""
        since = self._suspects.setdefault(server_id, time.monotonic())
        if time.monotonic() - since < PATIENCE:
            return None
        del self._suspects[server_id]
        return image


def stamp_of(path: str) -> str | None:
    """Return device, inode, size and mtime of a file as text; None for a file that cannot be seen."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def text(image: SavedImage) -> str:
    """Return a record as text for the ledger."""
    return json.dumps(asdict(image))


def read(kept: str) -> SavedImage:
    """Return a record from the text in the ledger. Raises ValueError, TypeError."""
    return SavedImage(**json.loads(kept))
