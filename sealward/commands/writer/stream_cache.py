"""What a process knows of streams already: to know it again only what was appended since must be read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from uuid import UUID

MOST: Final = 2000
"""Streams that are remembered: some kilobytes each."""


@dataclass(frozen=True, slots=True)
class CachedStream:
    """A stream as it was: its state after `version`, and how many events that is beyond its last snapshot.

    It can be behind, for others write as well; within an era of the store it cannot be wrong, for what was
    appended is never changed.
    """

    shape: str
    state: Any
    version: int
    beyond: int
    era: int


class StreamCache:
    """The streams that were used last. Safe for many threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._streams: OrderedDict[UUID, CachedStream] = OrderedDict()

    def get(self, stream: UUID, shape: str, era: int) -> CachedStream | None:
        """Return what is known of a stream, in that shape, of that era of the store."""
        with self._lock:
            known = self._streams.get(stream)
        return known if known is not None and (known.shape, known.era) == (shape, era) else None

    def put(self, stream: UUID, known: CachedStream) -> None:
        """Remember what is in the log; never what was only decided."""
        with self._lock:
            self._streams[stream] = known
            self._streams.move_to_end(stream)
            if len(self._streams) > self._most:
                self._streams.popitem(last=False)
