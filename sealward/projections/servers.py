"""The answers of GET /v1/server: the inventory that the nodes report, signed or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealward.events.node import InstanceAppeared, InstanceLeft
from sealward.events.sql import blocks

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from sealward.events.base import Recorded

SQL = blocks("sealward.projections", "servers.sql")


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server and the node that it is on."""

    server_id: str
    instance_name: str
    node_id: int
    hostname: str
    signed: bool | None = None
    """None where nobody looked."""


class Servers:
    """Derives the rows from the log, and answers from them."""

    name = "servers"

    def reset(self, cursor: sqlite3.Cursor) -> None:
        """Begin with no rows."""
        cursor.execute(SQL["drop"])
        cursor.execute(SQL["create"])

    def create(self, cursor: sqlite3.Cursor) -> None:
        """Make the table where there is none."""
        cursor.execute(SQL["create"])

    def apply(self, batch: Iterable[Recorded], cursor: sqlite3.Cursor) -> None:
        """Fold a batch of events, in order, into the rows."""
        for recorded in batch:
            event = recorded.event
            if isinstance(event, InstanceAppeared | InstanceLeft):
                values = {
                    "server_id": event.server_id,
                    "node_id": event.node_id,
                    "instance_name": event.instance_name,
                }
                if isinstance(event, InstanceLeft):
                    cursor.execute(SQL["leave"], values)
                else:
                    more = {"hostname": event.hostname, "position": recorded.position}
                    cursor.execute(SQL["appear"], values | more)

    def find(self, cursor: sqlite3.Cursor, server_id: str) -> ServerRow | None:
        """Return where a server is."""
        found = cursor.execute(SQL["find"], {"server_id": server_id}).fetchone()
        return _row(found) if found else None

    def page(
        self,
        cursor: sqlite3.Cursor,
        *,
        signed: bool | None = None,
        node_id: int | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[ServerRow]:
        """Return the servers by server_id, each with whether it is signed."""
        values = {
            "signed": signed,
            "node_id": node_id,
            "offset": offset,
            "limit": -1 if limit is None else limit,
        }
        return [_row(found, signed=bool(found["signed"])) for found in cursor.execute(SQL["page"], values)]


def _row(found: sqlite3.Row, *, signed: bool | None = None) -> ServerRow:
    return ServerRow(found["server_id"], found["instance_name"], found["node_id"], found["hostname"], signed)
