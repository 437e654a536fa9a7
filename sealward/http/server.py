"""The servers: the inventory of all nodes, signed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sealward.http.auth.access import LOOKS, Rule
from sealward.http.operation.answer import Id, Uuid, answer
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.paging import Paging
from sealward.http.operation.parameter import LIMIT, NODE_ID, OFFSET, Query, choice, server

if TYPE_CHECKING:
    import falcon

    from sealward.http.services import Services

SIGNED: Final = choice("signed", ("true", "false"), "Only those that are signed, or that are not.")
MARKER: Final = server("marker", "Only servers after this server: the last server of the page before.")


class Server(msgspec.Struct, frozen=True):
    """A server that a node reports, and whether it is under control."""

    server_id: Uuid
    instance_name: str
    node_id: Id
    signed: bool


class ServerList(msgspec.Struct, frozen=True):
    """Servers by their ids."""

    servers: list[Server]


class Servers:
    """`/server`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/server",
                self.list,
                {200: Answer(ServerList, headers=("Link",))},
                rule=Rule("server:list", "List the inventory of servers.", LOOKS),
                query=(SIGNED, NODE_ID, OFFSET, LIMIT, MARKER),
            )
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the servers by server_id; `signed=false` lists the servers that are not under control."""
        query: Query = req.context.query
        paging = Paging(req, resp, self._services.public_url)
        signed = query.get(SIGNED)
        with self._services.projections.reading() as tables:
            rows = self._services.projections.servers.page(
                tables,
                signed=None if signed is None else signed == "true",
                node_id=query.get(NODE_ID),
                after=query.get(MARKER) or "",
                offset=query.get(OFFSET) or 0,
                limit=paging.to_read,
            )
        page = paging.page(rows, marker=lambda row: row.server_id)
        shown = [Server(row.server_id, row.instance_name, row.node_id, row.signed is True) for row in page]
        answer(resp, ServerList(shown))
