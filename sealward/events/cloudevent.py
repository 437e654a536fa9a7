"""Events as outside systems get them: CloudEvents 1.0, structured JSON.

https://github.com/cloudevents/spec (v1.0.2, JSON format). `id` is the event's own id, `sequence` its
position, padded so that texts sort as numbers do.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from sealward.events import codec, schema
from sealward.events.base import Recorded
from sealward.events.node import NodeEvent
from sealward.events.sign import SignEvent

SOURCE = "/sealward"
TYPE_PREFIX = "io.sealward."


def render(recorded: Recorded) -> bytes:
    """Return the event as a CloudEvent."""
    event = recorded.event
    fields = {
        "specversion": "1.0",
        "id": str(recorded.id),
        "source": SOURCE,
        "type": TYPE_PREFIX + event.topic,
        "subject": _subject(recorded),
        "time": event.timestamp.isoformat(),
        "datacontenttype": "application/json",
        "dataschema": schema.name(event.topic),
        "sequence": f"{recorded.position:020d}",
        "stream": str(recorded.stream),
        "streamversion": recorded.version,
        "data": msgspec.Raw(codec.encode(event)),
    }
    return msgspec.json.encode(fields)


def schema_of(topic: str) -> dict[str, Any]:
    """Return the JSON Schema of the CloudEvents of a topic."""
    return schema.schema(topic, TYPE_PREFIX + topic)


def parse(body: bytes) -> Recorded:
    """Return the event that a CloudEvent of ours holds. Raises EventRefused."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        topic = str(fields["type"]).removeprefix(TYPE_PREFIX)
        event = codec.decode(topic, msgspec.json.encode(fields["data"]))
        where = int(fields["sequence"]), uuid.UUID(fields["stream"]), int(fields["streamversion"])
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as unreadable:
        raise codec.EventRefused(f"not a CloudEvent of Sealward: {unreadable!r}") from unreadable
    return Recorded(*where, event)


def routing_key(recorded: Recorded) -> str:
    """Return the key on the topic exchange: `sign.created.node.2`."""
    node_id = getattr(recorded.event, "node_id", 0)
    return f"{recorded.event.topic}.node.{node_id}"


def _subject(recorded: Recorded) -> str:
    event = recorded.event
    if isinstance(event, SignEvent):
        return f"sign/{event.server_id}"
    return f"node/{event.node_id}" if isinstance(event, NodeEvent) else str(recorded.stream)
