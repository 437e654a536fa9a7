"""The JSON Schemas of the events, for those who subscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events import cloudevent
from sealward.events.codec import EVENTS
from sealward.http.answer import answer
from sealward.http.errors import Problem
from sealward.http.request import Query

if TYPE_CHECKING:
    import falcon


class Schemas:
    """`/schema` and `/schema/{topic}`."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the topics."""
        Query(req, ())
        answer(resp, {"schemas": sorted(EVENTS)})

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, topic: str) -> None:
        """Give the schema of a topic's CloudEvents."""
        Query(req, ())
        if topic not in EVENTS:
            raise Problem(404, "schema.not-found", "No event has this topic; GET /v1/schema lists them.")
        answer(resp, cloudevent.schema_of(topic))
        resp.content_type = "application/schema+json"
