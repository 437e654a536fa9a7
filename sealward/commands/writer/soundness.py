"""What of the log does not fit together: what somebody leaves who writes to the database and signs nothing.

A log whose events were changed in place gives other rows, and a rebuild takes them as they are. What can be
seen without another copy of the log: whether versions follow each other, whether events are in the stream of
the server or node that they name, whether seals hold an envelope of just that seal which a key of just that
node has signed, and whether a true would live for longer than any setting allows. It cannot be seen that a
whole event is gone from the end of a stream, or that a verdict, which nobody signs, was another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sealward.commands.writer.stream import of_node, of_sign
from sealward.events import codec, typed
from sealward.events.node import NodeEvent, NodeKeyReplaced, NodeRegistered, NodeSwept
from sealward.events.set_aside import BROKEN
from sealward.events.sign import SignEvent, SignSealed, SignValidated
from sealward.events.signing.envelope import EnvelopeRefused, NotVerified, parse, verify
from sealward.events.signing.keys import KeyRefused, public_key
from sealward.events.signing.statement import StatementRefused
from sealward.events.signing.statement import parse as stated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sealward.commands.writer.stream import Stream
    from sealward.events.base import Event, Stored
    from sealward.events.store.store import EventStore, Snapshot

LONGEST: Final = timedelta(days=366)
"""How long a true may live: SEALWARD_FRESH_FOR takes a year at most."""
TOGETHER: Final = 500
"""Entries, and streams, that are read at a time."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What does not fit, and where. `what` is a stable code."""

    position: int
    topic: str
    what: str

    def __str__(self) -> str:
        """Read as one line of a report."""
        return f"log: {self.topic} at position {self.position}: {self.what}"


class Soundness:
    """Looks at one entry of the log after the other, from its beginning."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self._keys: dict[int, set[str]] = {}
        self._streams: dict[UUID, Stream] = {}
        self._unreadable: set[UUID] = set()

    @property
    def streams(self) -> list[Stream]:
        """Return the streams that were seen so far, and can be read."""
        return [one for stream, one in self._streams.items() if stream not in self._unreadable]

    def flaw(self, entry: Stored) -> str | None:
        """Return what is wrong with an entry, as a code. One that cannot be read is others' to set aside."""
        follows = entry.version == self._versions.get(entry.stream, 0) + 1
        self._versions[entry.stream] = entry.version
        try:
            event = codec.decode(entry.topic, entry.state)
        except codec.EventFromNewerVersion:
            raise
        except codec.EventRefused:
            self._unreadable.add(entry.stream)
            return None
        if not follows:
            return "version-out-of-order"
        if not self._is_at_home(entry, event):
            return "in-another-stream"
        if isinstance(event, NodeRegistered | NodeKeyReplaced):
            self._keys.setdefault(event.node_id, set()).add(event.public_key)
        if isinstance(event, SignSealed):
            return self._of_seal(event)
        if isinstance(event, SignValidated | NodeSwept) and event.fresh_until > event.timestamp + LONGEST:
            return "true-for-too-long"
        return None

    def _is_at_home(self, entry: Stored, event: Event) -> bool:
        if isinstance(event, SignEvent):
            stream = of_sign(event.server_id)
        elif isinstance(event, NodeEvent):
            stream = of_node(event.hostname)
        else:
            return True
        if stream.id != entry.stream:
            return False
        self._streams[entry.stream] = stream
        return True

    def _of_seal(self, event: SignSealed) -> str | None:
        """Return what is wrong with a seal. The authority's countersignature is for who has its key."""
        try:
            envelope = parse(event.envelope)
            said = stated(envelope.payload, envelope.payload_type)
        except (EnvelopeRefused, StatementRefused):
            return "seal-unreadable"
        if (said.server_id, said.sign_id, said.generation, said.measurement.digest) != (
            event.server_id,
            event.sign_id,
            event.generation,
            event.digest,
        ):
            return "seal-of-something-else"
        for pem in self._keys.get(event.node_id, ()):
            try:
                verify(envelope, [public_key(pem)])
            except (NotVerified, KeyRefused):
                continue
            return None
        return "seal-not-signed-by-its-node"


def flaws(store: EventStore) -> Iterator[Flaw]:
    """Give what does not fit together in the whole log, and in the snapshots of its streams.

    A stream with an event that cannot be read has no snapshots to compare. Raises EventFromNewerVersion.
    """
    looking, position = Soundness(), 0
    while entries := store.copy(position, TOGETHER):
        position = entries[-1].position
        for entry in entries:
            what = looking.flaw(entry)
            if what is not None:
                yield Flaw(entry.position, entry.topic, what)
    yield from _snapshots(store, looking.streams, position)


def _snapshots(store: EventStore, streams: list[Stream], position: int) -> Iterator[Flaw]:
    """Give the snapshots that are not what the events before them give."""
    for start in range(0, len(streams), TOGETHER):
        some = streams[start : start + TOGETHER]
        for stream, loaded in zip(
            some, store.load({one.id: one.shape for one in some}).values(), strict=True
        ):
            if loaded.snapshot is not None and not _is_right(store, stream, loaded.snapshot):
                yield Flaw(position, stream.shape, f"snapshot-of-something-else in stream {stream.id}")


def _is_right(store: EventStore, stream: Stream, kept: Snapshot) -> bool:
    try:
        events = store.read(stream.id)[: kept.version]
        state: Any = stream.fold(None, events)
        found = typed.decode(kept.state, stream.state | None)
    except BROKEN:
        return False
    return len(events) == kept.version and found == state
