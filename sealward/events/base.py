"""The fields of every event, and the entry of an event in the log."""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, ClassVar

import msgspec

from sealward.events.late import late
from sealward.events.values import Actor, Line, RequestId, TaskId  # noqa: TC001 - read off the annotations

STREAMS = uuid.UUID("0d5e6a51-6f2a-5d0e-9d0a-5ea1a4d00001")
"""Namespace of the stream ids: the log's own, never to be changed."""

KNOWN = 20_000
"""Stream ids that are remembered: each is a hash, and is asked for several times in a row."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset from UTC. An event with a naive time is refused when it is read."""


def utc_now() -> datetime:
    """Return the time, aware. Only the code that wires calls this: deciders get times as arguments."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The ids in Keystone of the user who gave an order, and of the user's project.

    A user's name is unique only inside a domain, and may be given to another user later; an id is unique for
    good. `project_id` is None for a token whose scope is the system or a domain.
    """

    user_id: Line
    project_id: Line | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, with its time, its actor, its task and its HTTP request.

    `timestamp` is aware, UTC. `actor` reads `user:NAME`, `node:HOSTNAME` or `system`. `global_request_id` is
    the id that a client gives to all requests that belong together; only orders have it. `topic` is the
    event's stable name; `version` counts the shapes that the fields of the topic have had.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1

    timestamp: Moment
    actor: Actor
    task_id: TaskId | None = None
    request_id: RequestId | None = None
    origin: Origin | None = late()
    global_request_id: RequestId | None = late()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in the log: its position in the whole, its stream, and its version (from 1) there."""

    position: int
    stream: uuid.UUID
    version: int
    event: Event
    state: bytes = field(default=b"", compare=False, repr=False)
    """The event's bytes as they are stored; none for an event that was not read from the log."""

    @property
    def id(self) -> uuid.UUID:
        """Return the event's own id, the same wherever and however often the event is delivered."""
        return _event_id(self.stream, self.version)


@dataclass(frozen=True, slots=True)
class Stored:
    """An event as it stands in the log, its bytes not yet read (`codec.read`)."""

    position: int
    stream: uuid.UUID
    version: int
    topic: str
    state: bytes

    @property
    def id(self) -> uuid.UUID:
        """Return the event's own id, as `Recorded` has it."""
        return uuid.uuid5(self.stream, str(self.version))


@functools.lru_cache(maxsize=KNOWN)
def _event_id(stream: uuid.UUID, version: int) -> uuid.UUID:
    return uuid.uuid5(stream, str(version))


@functools.lru_cache(maxsize=KNOWN)
def sign_stream(server_id: str) -> uuid.UUID:
    """Return the id of the stream that holds all signs of a server, one after the other."""
    return uuid.uuid5(STREAMS, f"sign/{server_id}")


@functools.lru_cache(maxsize=KNOWN)
def node_stream(hostname: str) -> uuid.UUID:
    """Return the id of a node's stream. Each hostname has a single stream, so it can register only once."""
    return uuid.uuid5(STREAMS, f"node/{hostname}")
