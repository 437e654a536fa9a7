"""The servers: the inventory of all nodes, signed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.http.answer import answer
from sealward.http.request import Query

if TYPE_CHECKING:
    import falcon

    from sealward.http.door import Door


class Servers:
    """`/server`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the servers by server_id; `signed=false` shows what is not under control."""
        query = Query(req, ("signed", "node_id", "offset", "limit"))
        signed = query.choice("signed", ("true", "false"))
        with self._door.projections.reading() as tables:
            rows = self._door.projections.servers.page(
                tables,
                signed=None if signed is None else signed == "true",
                node_id=query.number("node_id"),
                offset=query.number("offset") or 0,
                limit=query.number("limit"),
            )
        shown = [
            {
                "server_id": row.server_id,
                "instance_name": row.instance_name,
                "node_id": row.node_id,
                "signed": row.signed,
            }
            for row in rows
        ]
        answer(resp, {"servers": shown})
