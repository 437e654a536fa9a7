"""Caches the states of streams in a process: of a cached stream, only the events appended since are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from uuid import UUID

MOST: Final = 2000
"""Streams that are cached: some kilobytes each."""


@dataclass(frozen=True, slots=True)
class CachedStream:
    """The state of a stream after `version`. `beyond` is how many events follow its last snapshot.

    The state can be behind the log, because other processes write as well. Within an era of the store it
    cannot be wrong, because appended events never change.
    """

    shape: str
    state: Any
    version: int
    beyond: int
    era: int


class StreamCache:
    """The streams that were used last, at most `most` of them. Safe for many threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._streams: OrderedDict[UUID, CachedStream] = OrderedDict()

    def get(self, stream: UUID, shape: str, era: int) -> CachedStream | None:
        """Return the cached state of a stream, if it has that shape and is of that era of the store."""
        with self._lock:
            known = self._streams.get(stream)
        return known if known is not None and (known.shape, known.era) == (shape, era) else None

    def put(self, stream: UUID, known: CachedStream) -> None:
        """Cache a state that is in the log; never a state with events that were only decided."""
        with self._lock:
            self._streams[stream] = known
            self._streams.move_to_end(stream)
            if len(self._streams) > self._most:
                self._streams.popitem(last=False)
