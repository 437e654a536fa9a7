"""The record of an event: the entry of the transparency log that stands for one event.

A record commits to the bytes of the event as the store has them, and holds none of these bytes. A record
has less than 1 KiB: an event may be larger than an entry of a tiled log (65,535 bytes), and a law can demand
that the bytes of an event are erased while its record stays. Actor, time and task of the event are among
its bytes, so the digest commits to them.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sealward.events.tlog.refusals import RecordRefused

HEADER: Final = "sealward-event/1"
TOPIC: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,199}")
SHAPE: Final = re.compile(
    rf"{HEADER}\n"
    r"(?P<position>[1-9][0-9]{0,18})\n"
    r"(?P<stream>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n"
    r"(?P<version>[1-9][0-9]{0,18})\n"
    rf"(?P<topic>{TOPIC.pattern})\n"
    r"(?P<digest>[0-9a-f]{64})\n"
)


@dataclass(frozen=True, slots=True)
class Record:
    """An event of the log: its position, its stream, and the digest of its bytes."""

    position: int
    """The event's position in the log: 1 or more, rising, with gaps."""
    stream: UUID
    version: int
    """The event's version in its stream: 1, 2, 3 … without gaps."""
    topic: str
    digest: str
    """SHA-256 of the stored bytes, 64 lower-case hex digits."""

    def entry(self) -> bytes:
        """Return the bytes that the tree has as a leaf: six lines of ASCII, each ended by a newline."""
        return _entry(self.position, self.stream, self.version, self.topic, self.digest)


def record_of(position: int, stream: UUID, version: int, topic: str, state: bytes) -> Record:
    """Return the record of an event whose stored bytes are `state`.

    A program that writes to the database past Sealward may write any topic. For a topic that no event can
    have the record has the digest of the topic.
    """
    return Record(position, stream, version, _fit(topic), hashlib.sha256(state).hexdigest())


def entry_of(position: int, stream: UUID, version: int, topic: str, state: bytes) -> bytes:
    """Return the entry of `record_of` at once: each event that is folded waits for it."""
    return _entry(position, stream, version, _fit(topic), hashlib.sha256(state).hexdigest())


def read_record(entry: bytes) -> Record:
    """Return the record that an entry holds. Raises RecordRefused."""
    try:
        found = SHAPE.fullmatch(entry.decode("ascii"))
    except UnicodeDecodeError as not_ascii:
        raise RecordRefused("a record is ASCII") from not_ascii
    if found is None:
        raise RecordRefused("a record has six lines: header, position, stream, version, topic, digest")
    return Record(
        int(found["position"]), UUID(found["stream"]), int(found["version"]), found["topic"], found["digest"]
    )


def _entry(position: int, stream: UUID, version: int, topic: str, digest: str) -> bytes:
    return f"{HEADER}\n{position}\n{_text(stream)}\n{version}\n{topic}\n{digest}\n".encode("ascii")


@functools.lru_cache(maxsize=20_000)
def _text(stream: UUID) -> str:
    return str(stream)


@functools.lru_cache(maxsize=1000)
def _fit(topic: str) -> str:
    if TOPIC.fullmatch(topic) is not None:
        return topic
    return f"digest-{hashlib.sha256(topic.encode('utf-8', 'surrogatepass')).hexdigest()}"
