"""The servers that nodes report in their inventories, as GET /v1/server lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec

from sealward.events.node import InstanceAppeared, InstanceLeft, NodeRemoved
from sealward.projections.store.tables import up_to

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Row, Tables


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server on a node."""

    server_id: str
    instance_name: str
    node_id: int
    hostname: str
    signed: bool | None = None
    """Whether the server has a sign; None where the query did not ask."""


class Servers:
    """The projection of servers: one row for each pair of a server and a node that reports it."""

    name = "servers"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("servers.drop")
        tables.run("servers.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("servers.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        last: dict[tuple[str, int, str], Recorded] = {}
        for one in batch:
            if isinstance(one.event, InstanceAppeared | InstanceLeft):
                last[_key(one.event)] = one
            elif isinstance(one.event, NodeRemoved):
                _move(last.values(), tables)
                last.clear()
                tables.run("servers.leave-node", {"node_id": one.event.node_id})
        _move(last.values(), tables)

    def find(self, tables: Tables, server_id: str) -> ServerRow | None:
        """Return the server with its node; None when no node reports the server."""
        found = tables.one("servers.find", {"server_id": server_id})
        return _row(found) if found else None

    def everywhere(self, tables: Tables, server_id: str) -> list[ServerRow]:
        """Return the server once for each node that reports it, nodes on which it runs first."""
        return [_row(found) for found in tables.all("servers.everywhere", {"server_id": server_id})]

    def elsewhere(self, tables: Tables, node_id: int, server_id: str) -> list[ServerRow]:
        """Return the server once for each other node that reports it, nodes on which it runs first."""
        values = {"node_id": node_id, "server_id": server_id}
        return [_row(found) for found in tables.all("servers.elsewhere", values)]

    def named(self, tables: Tables, name: str) -> list[str]:
        """Return the ids of the servers with that instance name, signed or reported by a node."""
        return [found["server_id"] for found in tables.all("servers.named", {"name": name})]

    def names(self, tables: Tables, server_ids: Iterable[str]) -> dict[str, str]:
        """Return the instance names of servers, of those that are signed or that a node reports."""
        values = {"servers": msgspec.json.encode(sorted(server_ids)).decode()}
        return {found["server_id"]: found["instance_name"] for found in tables.all("servers.names", values)}

    def page(  # noqa: PLR0913 - the filters that the API has
        self,
        tables: Tables,
        *,
        signed: bool | None = None,
        node_id: int | None = None,
        after: str = "",
        offset: int = 0,
        limit: int | None = None,
    ) -> list[ServerRow]:
        """Return the servers whose ids follow `after`, in order of their ids, with `signed`."""
        values = {
            "signed": signed,
            "node_id": node_id,
            "after": after,
            "offset": offset,
            "limit": up_to(limit),
        }
        return [_row(found, signed=bool(found["signed"])) for found in tables.all("servers.page", values)]


def _move(last: Collection[Recorded], tables: Tables) -> None:
    """Write the last event of each server on each node into the rows."""
    tables.many("servers.leave", [_values(one) for one in last])
    here = [one for one in last if isinstance(one.event, InstanceAppeared)]
    tables.many("servers.appear", [_values(one) for one in here])


def _key(event: InstanceAppeared | InstanceLeft) -> tuple[str, int, str]:
    return event.server_id, event.node_id, event.instance_name


def _values(one: Recorded) -> dict[str, object]:
    event = cast("InstanceAppeared | InstanceLeft", one.event)
    return {
        "server_id": event.server_id,
        "node_id": event.node_id,
        "hostname": event.hostname,
        "instance_name": event.instance_name,
        "position": one.position,
        "running": int(isinstance(event, InstanceAppeared) and event.running is True),
    }


def _row(found: Row, *, signed: bool | None = None) -> ServerRow:
    return ServerRow(found["server_id"], found["instance_name"], found["node_id"], found["hostname"], signed)
