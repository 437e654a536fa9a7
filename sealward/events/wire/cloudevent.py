"""Events as outside systems get them: CloudEvents 1.0, structured JSON.

https://github.com/cloudevents/spec (v1.0.2, JSON format). `id` is the event's own id, `sequence` its
position, padded so that texts sort as numbers do.
"""

from __future__ import annotations

import functools
import uuid
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - the wire form is read off the annotations
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sealward.events import typed
from sealward.events.base import Recorded, Stored
from sealward.events.node import NodeEvent
from sealward.events.set_aside import BROKEN
from sealward.events.sign import SignEvent
from sealward.events.wire import codec, schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sealward.events.set_aside import SetAside

SOURCE = "/sealward"
TYPE_PREFIX = "io.sealward."


class _Head(msgspec.Struct, frozen=True):
    """The fields of an event that its address and its headers need."""

    version: int
    timestamp: datetime
    node_id: int = 0
    server_id: str | None = None
    task_id: str | None = None


class _CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str = SOURCE
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    dataschema: str
    sequence: str
    stream: str
    streamversion: int
    data: msgspec.Raw


_HEAD: Final = typed.decoder(_Head)


@dataclass(frozen=True, slots=True)
class Message:
    """A CloudEvent with the properties of its message at a broker; `sent_at` in seconds since 1970."""

    position: int
    topic: str
    id: str
    routing_key: str
    task_id: str | None
    sent_at: int
    body: bytes


def message(stored: Stored) -> Message:
    """Return an entry of the log as a message. Its data are the bytes of the log, not encoded anew.

    Raises EventFromNewerVersion and EventRefused.
    """
    head, state = _current(stored.topic, stored.state)
    event_id = str(stored.id)
    body = _CloudEvent(
        id=event_id,
        type=TYPE_PREFIX + stored.topic,
        subject=_subject(stored, head),
        time=head.timestamp.isoformat(),
        dataschema=_schema(stored.topic),
        sequence=f"{stored.position:020d}",
        stream=str(stored.stream),
        streamversion=stored.version,
        data=msgspec.Raw(state),
    )
    return Message(
        stored.position,
        stored.topic,
        event_id,
        f"{stored.topic}.node.{head.node_id}",
        head.task_id,
        int(head.timestamp.timestamp()),
        msgspec.json.encode(body),
    )


def messages(entries: Iterable[Stored], set_aside: SetAside) -> Iterator[Message]:
    """Yield entries of the log as messages. An entry that cannot become a message is set aside.

    Raises EventFromNewerVersion.
    """
    for one in entries:
        try:
            made = message(one)
        except codec.EventFromNewerVersion:
            raise
        except BROKEN as why:
            set_aside(one.position, one.topic, why)
        else:
            yield made


def render(recorded: Recorded) -> bytes:
    """Return the event as a CloudEvent."""
    event = recorded.event
    entry = Stored(recorded.position, recorded.stream, recorded.version, event.topic, codec.encode(event))
    return message(entry).body


def _current(topic: str, state: bytes) -> tuple[_Head, bytes]:
    """Return an event's bytes in the current version. Raises EventFromNewerVersion and EventRefused."""
    try:
        head = _HEAD.decode(state)
        if head.version == codec.EVENTS[topic].version:
            return head, state
    except (KeyError, msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # `codec.decode` reads the whole event and raises the precise error
    state = codec.encode(codec.decode(topic, state))
    return _HEAD.decode(state), state


_schema = functools.cache(schema.name)


def schema_of(topic: str) -> dict[str, Any]:
    """Return the JSON Schema of the CloudEvents of a topic."""
    return schema.schema(topic, TYPE_PREFIX + topic)


def parse(body: bytes) -> Recorded:
    """Return the event that a CloudEvent of ours holds. Raises EventRefused."""
    try:
        fields: dict[str, Any] = typed.decode(body, dict[str, Any])
        topic = str(fields["type"]).removeprefix(TYPE_PREFIX)
        event = codec.decode(topic, msgspec.json.encode(fields["data"]))
        where = int(fields["sequence"]), uuid.UUID(fields["stream"]), int(fields["streamversion"])
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as unreadable:
        raise codec.EventRefused(f"not a CloudEvent of Sealward: {unreadable!r}") from unreadable
    return Recorded(*where, event)


def place_of(body: bytes) -> tuple[int, str]:
    """Return position and topic of a CloudEvent that cannot be read; (0, "event") where it has none."""
    try:
        fields: dict[str, Any] = typed.decode(body, dict[str, Any])
        return int(fields["sequence"]), str(fields["type"]).removeprefix(TYPE_PREFIX)
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError):
        return 0, "event"


def _subject(stored: Stored, head: _Head) -> str:
    kind = codec.EVENTS[stored.topic]
    if issubclass(kind, SignEvent):
        return f"sign/{head.server_id}"
    return f"node/{head.node_id}" if issubclass(kind, NodeEvent) else str(stored.stream)
