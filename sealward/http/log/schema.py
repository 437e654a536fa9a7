"""The JSON Schemas of the events, for subscribers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.events.wire import cloudevent
from sealward.events.wire.codec import EVENTS
from sealward.http.auth.access import LOOKS, Rule
from sealward.http.operation.answer import answer
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon


class SchemaList(msgspec.Struct, frozen=True):
    """The topics of all events."""

    schemas: list[str]


class JsonSchema(msgspec.Struct, frozen=True):
    """A JSON Schema (draft 2020-12)."""

    title: str
    type: str


class Schemas:
    """`/schema` and `/schema/{topic}`."""

    def operations(self) -> list[Operation]:
        """Return the calls."""
        first = {"get-schema-topic": {"topic": "$response.body#/schemas/0"}}
        return [
            Operation(
                "GET",
                "/schema",
                self.list,
                {200: Answer(SchemaList, links=first)},
                rule=Rule("schema:list", "List the schemas of the events.", LOOKS),
            ),
            Operation(
                "GET",
                "/schema/{topic}",
                self.show,
                {200: Answer(JsonSchema, "application/schema+json")},
                rule=Rule("schema:show", "Show the schema of an event.", LOOKS),
                refuses={404: ("schema.not-found",)},
            ),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the topics."""
        del req
        answer(resp, SchemaList(sorted(EVENTS)))

    def show(self, req: falcon.Request, resp: falcon.Response, topic: str) -> None:
        """Give the schema of a topic's CloudEvents."""
        del req
        if topic not in EVENTS:
            raise Problem(404, "schema.not-found", "No event has this topic; GET /v1/schema lists them.")
        resp.content_type = "application/schema+json"
        resp.data = msgspec.json.encode(cloudevent.schema_of(topic))
