"""Which events of the log a client wants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.events.base import Event, Recorded

CLOCKS: Final = timedelta(seconds=60)
"""The difference that the clocks of processes that write the log may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The events that a client wants; None stands for all.

    `name` is an instance name or a hostname, and `servers` are the ids of the servers that have the name now.
    """

    topics: frozenset[str] | None = None
    server_id: str | None = None
    node_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    name: str | None = None
    servers: frozenset[str] = frozenset()

    def wants(self, one: Recorded) -> bool:
        """Return whether an event is wanted."""
        event = one.event
        return (
            (self.topics is None or event.topic in self.topics)
            and self.server_id in (None, getattr(event, "server_id", None))
            and self.node_id in (None, getattr(event, "node_id", None))
            and (self.since is None or event.timestamp >= self.since)
            and (self.until is None or event.timestamp < self.until)
            and self._is_by(event)
            and self._is_about(event)
        )

    def is_over(self, one: Recorded) -> bool:
        """Return whether this event and all later events are at or after `until`, even if clocks differ."""
        return self.until is not None and one.event.timestamp - self.until > CLOCKS

    def _is_by(self, event: Event) -> bool:
        """Return whether the actor has caused an event; an actor that ends with a colon stands for a kind."""
        if self.actor is None or event.actor == self.actor:
            return True
        return self.actor.endswith(":") and event.actor.startswith(self.actor)

    def _is_about(self, event: Event) -> bool:
        if self.name is None:
            return True
        server_id = getattr(event, "server_id", None)
        if server_id is None:
            return getattr(event, "hostname", None) == self.name
        return server_id in self.servers or getattr(event, "instance_name", None) == self.name
