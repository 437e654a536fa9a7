"""Finds flaws in the log: traces of somebody who wrote to the database and could not sign.

Projections that are rebuilt from a log with changed events have other rows. Without a second copy of the log,
this module can check that versions follow each other, that each event is in the stream of its server or node,
that each seal has an envelope of that very seal which a key of its node has signed, and that no true verdict
lives for longer than the settings allow. It cannot see that the last event of a stream is missing, or that a
verdict was changed, because verdicts are not signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sealward.commands.writer.stream import of_node, of_sign
from sealward.events import typed
from sealward.events.node import NodeEvent, NodeKeyReplaced, NodeRegistered, NodeSwept
from sealward.events.set_aside import BROKEN
from sealward.events.sign import SignEvent, SignSealed, SignValidated
from sealward.events.signing.envelope import EnvelopeRefused, NotVerified, parse, verify
from sealward.events.signing.keys import KeyRefused, public_key
from sealward.events.signing.statement import StatementRefused
from sealward.events.signing.statement import parse as stated
from sealward.events.wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from sealward.commands.writer.stream import Stream
    from sealward.events.base import Event, Stored
    from sealward.events.store.store import EventStore, Snapshot

LONGEST: Final = timedelta(days=366)
"""How long a true verdict may live: SEALWARD_FRESH_FOR takes a year at most."""
TOGETHER: Final = 500
"""How many entries of the log, or streams, are read together."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw of the log at a position. `what` is a stable code."""

    position: int
    topic: str
    what: str

    def __str__(self) -> str:
        """Return the flaw as a line of a report."""
        return f"log: {self.topic} at position {self.position}: {self.what}"


class Soundness:
    """Checks the entries of the log, which must be given in their order and from the first."""

    def __init__(self) -> None:
        self._versions: dict[UUID, int] = {}
        self._keys: dict[int, set[str]] = {}
        self._streams: dict[UUID, Stream] = {}
        self._unreadable: set[UUID] = set()

    @property
    def streams(self) -> list[Stream]:
        """Return the streams of the entries so far, without the unreadable streams."""
        return [one for stream, one in self._streams.items() if stream not in self._unreadable]

    def flaw(self, entry: Stored) -> str | None:
        """Return the code of an entry's flaw; None for an entry that cannot be read: it is set aside."""
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
        """Return the code of a seal's flaw. The countersignature is not checked: the key is not at hand."""
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
    """Yield the flaws of the whole log, and of the snapshots of its streams.

    The snapshots of an unreadable stream are not checked. Raises EventFromNewerVersion.
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
    """Yield the snapshots that differ from the state that the events before them lead to."""
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
