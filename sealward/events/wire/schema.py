"""JSON Schema of every event as subscribers get it: the CloudEvent, and in it the event's own fields.

https://json-schema.org/draft/2020-12. Fields may be added without a new version; a receiver ignores fields
that it does not know. A change or removal of a field makes a new version, and with it a new schema name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sealward.events.findings.kind import Kind
from sealward.events.findings.shown import Finding
from sealward.events.wire.codec import EVENTS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def name(topic: str) -> str:
    """Return the URI that names the schema of a topic's current version: the event's `dataschema`."""
    return f"urn:sealward:event:{topic}:{EVENTS[topic].version}"


def schema(topic: str, type_name: str) -> dict[str, Any]:
    """Return the schema of the CloudEvents of a topic, whose `type` is `type_name`."""
    kind = EVENTS[topic]
    (data,), definitions = msgspec.json.schema_components(
        [kind], schema_hook=_anything, ref_template="#/$defs/{name}"
    )
    if "Finding" in definitions:
        definitions["Finding"] = _finding()
    own = definitions[kind.__name__]
    own["properties"]["version"] = {"const": kind.version}
    own["required"] = [*own["required"], "version"]
    text = {"type": "string", "minLength": 1}
    properties: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid"},
        "source": text,
        "type": {"const": type_name},
        "subject": text,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": name(topic)},
        "sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
        "stream": {"type": "string", "format": "uuid"},
        "streamversion": {"type": "integer", "minimum": 1},
        "data": data,
    }
    return {
        "$schema": DIALECT,
        "$id": name(topic),
        "title": type_name,
        "description": (kind.__doc__ or "").strip(),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": definitions,
    }


def _finding() -> dict[str, Any]:
    """Return the schema of a finding as it is written; findings of before have no code, class and message."""
    definition: dict[str, Any] = msgspec.json.schema_components([Finding])[1]["Finding"]
    later = {"code", "class", "message"}
    definition["required"] = [one for one in definition["required"] if one not in later]
    definition["properties"]["class"] = {"enum": [one.value for one in Kind]}
    return definition


def _anything(kind: type) -> dict[str, Any]:
    """Return the schema of a value of any type, as the values inside an envelope are."""
    if kind is not object:
        raise NotImplementedError(kind)
    return {"description": "any JSON value"}
