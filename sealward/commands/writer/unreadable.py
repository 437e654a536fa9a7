"""Streams on which nothing can be decided, because an event in them cannot be read or cannot be folded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.set_aside import only_said

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sealward.events.set_aside import SetAside
    from sealward.events.store.store import EventStore

REMEMBERED: Final = 1000
"""Events that this process keeps in mind, so that it sets each aside once."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The first event of a stream, by its version there, that cannot be read or folded, and why."""

    stream: UUID
    version: int
    why: Exception


class Unreadables:
    """Sets aside the events that make streams unreadable, each once. Safe for many threads."""

    def __init__(self, store: EventStore, set_aside: SetAside = only_said) -> None:
        self._store = store
        self._set_aside = set_aside
        self._known: OrderedDict[tuple[UUID, int], None] = OrderedDict()

    def note(self, found: Iterable[Unreadable]) -> None:
        """Set aside the events that were not set aside before. Raises StoreUnavailable."""
        for one in found:
            place = one.stream, one.version
            position = None if place in self._known else self._store.position_of(*place)
            if position is None:
                continue
            (entry,) = self._store.copy(position - 1, 1)
            self._set_aside(position, entry.topic, one.why)
            self._known[place] = None
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
