"""Exports the log up to its last checkpoint to a folder of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.audit.folder import states
from sealward.error import SealwardError
from sealward.events.tlog.merkle import HASH
from sealward.events.tlog.record import entry_of
from sealward.events.tlog.tiles import WIDTH, bundle, numbered, tiles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealward.audit.folder import Folder
    from sealward.control.checkpoints import Checkpoints, SignedCheckpoint
    from sealward.events.base import Stored
    from sealward.events.store.store import EventStore
    from sealward.projections.store.database import Projections


class NotSigned(SealwardError):
    """The log has no checkpoint yet: workers sign checkpoints when SEALWARD_LOG_KEY names a key."""

    code = "audit.not-signed"


def export(
    store: EventStore,
    projections: Projections,
    checkpoints: Checkpoints,
    folder: Folder,
    progress: Callable[[int], object],
) -> SignedCheckpoint:
    """Write the log up to the last checkpoint, which is written last; return the checkpoint.

    `progress` hears of every bundle how many events it had. Files of an earlier export are written anew.
    Raises NotSigned, StoreUnavailable.
    """
    last = checkpoints.last()
    if last is None:
        raise NotSigned
    for number, some in enumerate(_bundles(store, last.size)):
        name = numbered(number, len(some))
        entries = (entry_of(one.position, one.stream, one.version, one.topic, one.state) for one in some)
        folder.write(f"tile/entries/{name}", bundle(entries))
        folder.write(f"states/{name}", states(one.state for one in some))
        progress(len(some))
    with projections.reading() as tables:
        stored = projections.tree.stored(tables)
        for tile in tiles_of(last.size):
            hashes = stored(tile.level, tile.number)[: tile.width * HASH]
            folder.write(f"tile/{tile.path}", hashes)
    folder.write("checkpoint", last.note.encode())
    return last


def _bundles(store: EventStore, size: int) -> Iterator[list[Stored]]:
    position = 0
    while size > 0 and (some := store.copy(position, min(WIDTH, size))):
        position, size = some[-1].position, size - len(some)
        yield some
