"""A unit of work: commands that are decided one after the other, and whose events are appended together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.commands import messages as ask
from sealward.commands import node_state, sign_state
from sealward.commands.errors import StreamUnreadable, Unrecordable
from sealward.commands.writer.stream import Stream, of, of_node, of_sign
from sealward.commands.writer.stream_cache import CachedStream, StreamCache
from sealward.commands.writer.unreadable import Unreadable
from sealward.events import typed, values
from sealward.events.set_aside import BROKEN
from sealward.events.sign import SignEvent
from sealward.events.store.store import Snapshot
from sealward.events.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from sealward.events.base import Event, Stored
    from sealward.events.store.store import EventStore, Loaded

    Decide = Callable[[Any, ask.Command], list[Event]]

log = logging.getLogger(__name__)

SNAPSHOT_EVERY: Final = 20
"""Events after which a new snapshot is made: a load folds at most so many events beyond a snapshot."""
NO_SNAPSHOT: Final = ""
"""A shape that no snapshot has."""


@dataclass(slots=True)
class _Known:
    """A stream with the events that were decided so far. `state` has all events folded but `unfolded`."""

    stream: Stream
    state: Any
    version: int
    unfolded: list[Event]
    beyond: int
    """Events beyond its last snapshot."""
    era: int

    unreadable: Unreadable | None = None
    """The event that cannot be read or folded: then nothing can be decided on the stream."""

    def now(self) -> Any:  # noqa: ANN401 - the state of any stream
        """Return the state. Decided events are folded only when it is needed. Raises StreamUnreadable."""
        if not self.is_readable():
            why = None if self.unreadable is None else self.unreadable.why
            raise StreamUnreadable(f"{StreamUnreadable.__doc__} {why!r}") from why
        return self.state

    def is_readable(self) -> bool:
        """Fold the events that are not folded yet; say whether the whole stream could be read and folded."""
        if self.unreadable is None and self.unfolded:
            try:
                self.state = self.stream.fold(self.state, self.unfolded)
            except BROKEN as broken:
                self.unreadable = Unreadable(self.stream.id, self._first_broken(), broken)
            self.unfolded.clear()
        return self.unreadable is None

    def _first_broken(self) -> int:
        """Return the version of the first event that cannot be folded."""
        state, before = self.state, self.version - len(self.unfolded)
        for version, event in enumerate(self.unfolded, before + 1):
            try:
                state = self.stream.fold(state, [event])
            except BROKEN:
                return version
        return self.version


def is_readable(store: EventStore, entry: Stored) -> bool:
    """Say whether the stream of an entry of the log can be read and folded now, from its beginning."""
    kind = codec.EVENTS.get(entry.topic)
    if kind is None:
        return False
    fold: Callable[[Any, Iterable[Event]], Any] = (
        sign_state.fold if issubclass(kind, SignEvent) else node_state.fold
    )
    loaded = store.load({entry.stream: NO_SNAPSHOT})[entry.stream]
    return _known(Stream(entry.stream, fold, object, NO_SNAPSHOT), loaded, None, 0).is_readable()


class UnitOfWork:
    """Decides on commands one after the other, and appends all their events together.

    Each command is decided on the states that the commands before it have led to.

    Nothing is written before `append`. For one thread. With `is_careful` each command's events are checked as
    soon as they are decided, so that a command whose events the log cannot carry is refused alone.
    """

    def __init__(
        self, store: EventStore, decide: Decide, cache: StreamCache, *, is_careful: bool = False
    ) -> None:
        self._is_careful = is_careful
        self._store = store
        self._decide = decide
        self._cache = cache
        self._known: dict[UUID, _Known] = {}
        self._decided: list[tuple[UUID, int, Event]] = []

    @property
    def unreadable(self) -> list[Unreadable]:
        """Return the events that make streams of this unit of work unreadable."""
        return [one.unreadable for one in self._known.values() if one.unreadable is not None]

    @property
    def decided(self) -> int:
        """Return how many events were decided so far."""
        return len(self._decided)

    def load(self, streams: Iterable[Stream]) -> None:
        """Load several streams with one query. A stream that is not loaded here is loaded when it is needed.

        A stream that is loaded already stays as it is, with its decided events.
        """
        wanted = {one.id: one for one in streams if one.id not in self._known}
        if not wanted:
            return
        shapes = {one.id: one.shape for one in wanted.values()}
        era = self._store.era()
        recalled = {stream: self._cache.get(stream, shape, era) for stream, shape in shapes.items()}
        versions = {stream: known.version for stream, known in recalled.items() if known is not None}
        found = self._store.load(shapes, versions)
        if self._store.era() != era:  # these may be of another log than the cached streams
            recalled, found = dict.fromkeys(shapes), self._store.load(shapes)
        for one in wanted.values():
            self._known[one.id] = self._read(one, found[one.id], recalled[one.id], era)

    def _read(self, stream: Stream, loaded: Loaded, recalled: CachedStream | None, era: int) -> _Known:
        """Return a loaded stream. If its snapshot cannot be read, it is loaded again from its beginning."""
        try:
            return _known(stream, loaded, recalled, era)
        except BROKEN:
            log.exception("the snapshot of stream %s cannot be read, and is not used", stream.id)
            whole = self._store.load({stream.id: NO_SNAPSHOT})[stream.id]
            return _known(stream, whole, None, era)

    def node(self, hostname: str) -> node_state.Node | None:
        """Return the state of a node with the events that were decided so far. Raises StreamUnreadable."""
        node: node_state.Node | None = self._of(of_node(hostname)).now()
        return node

    def sign(self, server_id: str) -> sign_state.Sign | None:
        """Return the state of a sign with the events that were decided so far. Raises StreamUnreadable."""
        sign: sign_state.Sign | None = self._of(of_sign(server_id)).now()
        return sign

    def handle(self, command: ask.Command) -> None:
        """Decide on a command. Raises Rejected: then the command adds no event."""
        known = self._of(of(command))
        decided = self._decide(known.now(), command)
        for event in _recordable(decided) if self._is_careful else decided:
            known.version += 1
            known.beyond += 1
            known.unfolded.append(event)
            self._decided.append((known.stream.id, known.version, event))

    def append(self) -> int:
        """Append all decided events in one transaction; return the position up to which they can be read.

        Raises VersionConflict when another writer was first, and Unfit when the log cannot carry an event.
        Both times the whole unit of work is done again, after Unfit with `is_careful`.
        """
        position = self._store.append_all(self._decided) if self._decided else self._store.head()
        self._store.keep_snapshots(
            [
                _snapshot(one)
                for one in self._known.values()
                if one.beyond >= SNAPSHOT_EVERY and one.is_readable()
            ]
        )
        for stream, one in self._known.items():
            if one.version and one.is_readable():
                known = CachedStream(one.stream.shape, one.now(), one.version, one.beyond, one.era)
                self._cache.put(stream, known)
        return position

    def _of(self, stream: Stream) -> _Known:
        known = self._known.get(stream.id)
        if known is None:
            self.load([stream])
            known = self._known[stream.id]
        return known


def _recordable(events: list[Event]) -> list[Event]:
    """Return the events if the log can carry all of them. Raises Unrecordable."""
    for one in events:
        try:
            codec.write(one)
        except values.Unfit as unfit:
            raise Unrecordable(f"{one.topic}: {unfit}") from unfit
    return events


def _known(stream: Stream, loaded: Loaded, recalled: CachedStream | None, era: int) -> _Known:
    state, version, beyond = None, 0, 0
    if (kept := loaded.snapshot) is not None:
        state, version = typed.decode(kept.state, stream.state | None), kept.version
    elif recalled is not None:
        state, version, beyond = recalled.state, recalled.version, recalled.beyond
    count = len(loaded.events)
    unreadable = None
    if loaded.unreadable is not None:
        unreadable = Unreadable(stream.id, version + count + 1, loaded.unreadable)
    return _Known(stream, state, version + count, loaded.events, beyond + count, era, unreadable)


def _snapshot(known: _Known) -> Snapshot:
    known.beyond = 0
    return Snapshot(known.stream.id, known.version, known.stream.shape, msgspec.json.encode(known.now()))
