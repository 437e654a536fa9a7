"""An event as it was read from a CloudEvent, with the parts that every format needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE_PREFIX: Final = "io.sealward."


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of the log. `data` are the fields of the event, as its JSON Schema describes them."""

    id: str
    source: str
    topic: str
    subject: str
    position: int
    time: datetime
    data: Mapping[str, Any]
    cloudevent: str
    """The CloudEvent itself, as JSON on one line."""

    @property
    def server_id(self) -> str | None:
        """Return the server that the event is about; None for an event about a node alone."""
        found: str | None = self.data.get("server_id")
        return found

    @property
    def node(self) -> str:
        """Return the hostname of the node, or the node's id where the event does not name the host."""
        return str(self.data.get("hostname") or f"node-{self.data.get('node_id', 0)}")

    @property
    def actor(self) -> str:
        """Return the actor, as `user:NAME`, `node:HOSTNAME` or `system`."""
        return str(self.data["actor"])

    @property
    def is_valid(self) -> str | None:
        """Return the verdict of the event: "true", "false" or "unknown"; None where it has no verdict."""
        found: str | None = self.data.get("is_valid")
        return found

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the stable codes that say why."""
        several = self.data.get("reasons") or ()
        single = self.data.get("reason")
        return (*several, *(() if single is None else (single,)))

    @property
    def findings(self) -> tuple[Mapping[str, Any], ...]:
        """Return the differences that the event records."""
        return tuple(self.data.get("findings") or ())

    @property
    def milliseconds(self) -> int:
        """Return the time in milliseconds since 1970."""
        return int(self.time.timestamp() * 1000)


def read(cloudevent: str) -> Notice:
    """Return the event of a CloudEvent in JSON. Raises ValueError and KeyError when it is no CloudEvent."""
    found = json.loads(cloudevent)
    return Notice(
        id=found["id"],
        source=found["source"],
        topic=found["type"].removeprefix(TYPE_PREFIX),
        subject=found["subject"],
        position=int(found["sequence"]),
        time=datetime.fromisoformat(found["time"]).astimezone(UTC),
        data=found["data"],
        cloudevent=json.dumps(found, separators=(",", ":")),
    )
