"""The events of each server, as GET /v1/sign/{server_id}/events lists them."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from sealward.events import typed
from sealward.events.base import Origin
from sealward.events.wire.codec import EVENTS
from sealward.projections.store.tables import up_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Event, Recorded
    from sealward.projections.store.tables import Row, Tables


_META = frozenset(("timestamp", "actor", "task_id", "request_id", "origin", "server_id", "node_id"))
GLOBAL = "global_request_id"
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event about a server. `data` has the fields that only this type of event has."""

    position: int
    topic: str
    at: datetime
    actor: str
    task_id: str | None
    request_id: str | None
    origin: Origin | None
    node_id: int
    data: dict[str, Any]


class History:
    """The projection of servers' histories: one row for each event that names a server."""

    name = "history"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("history.drop")
        self.create(tables)

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("history.create")
        tables.run("history.create-index")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Add a row for each event of a batch that names a server."""
        about_servers = [one for one in batch if getattr(one.event, "server_id", None) is not None]
        if about_servers:
            tables.run("history.forget-from", {"position": about_servers[0].position})
            tables.many("history.add", [_values(one) for one in about_servers])

    def of_server(
        self, tables: Tables, server_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[HistoryRow]:
        """Return the events about a server beyond the position `after`, in order, revoked signs included."""
        values = {"server_id": server_id, "after": after, "limit": up_to(limit)}
        return [_row(found) for found in tables.all("history.of-server", values)]


def _values(recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    return {
        "position": recorded.position,
        "server_id": getattr(event, "server_id", None),
        "node_id": getattr(event, "node_id", 0),
        "topic": event.topic,
        "at": event.timestamp.isoformat(),
        "actor": event.actor,
        "task_id": event.task_id,
        "request_id": event.request_id,
        "origin": "null" if event.origin is None else msgspec.json.encode(event.origin).decode(),
        "data": _SORTED.encode(_what(event)).decode(),
    }


def _what(event: Event) -> dict[str, Any]:
    """Return the fields that only this type of event has, and the global request id if there is one."""
    what = {name: getattr(event, name) for name in _own(event.topic)}
    if event.global_request_id is not None:
        what[GLOBAL] = event.global_request_id
    return what


@functools.cache
def _own(topic: str) -> tuple[str, ...]:
    names = [field.name for field in dataclasses.fields(EVENTS[topic])]
    return tuple(name for name in names if name not in _META and name != GLOBAL)


def _row(found: Row) -> HistoryRow:
    return HistoryRow(
        found["position"],
        found["topic"],
        datetime.fromisoformat(found["at"]),
        found["actor"],
        found["task_id"],
        found["request_id"],
        typed.decode(found["origin"], Origin | None),
        found["node_id"],
        typed.decode(found["data"], dict[str, Any]),
    )
