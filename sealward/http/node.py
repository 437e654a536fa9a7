"""The nodes: who they are, and whether validation is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import NotRegistered
from sealward.http.answer import answer, rfc1123
from sealward.http.auth import actor
from sealward.http.request import Query, body, number

if TYPE_CHECKING:
    from datetime import datetime

    import falcon

    from sealward.http.door import Door
    from sealward.projections.nodes import NodeRow


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an action."""

    action: Literal["activate", "deactivate"]


class NodeAction:
    """`/sign/node/{node_id}/action`: GET, as the seed prints it, with a body; or POST."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_post(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Switch validation on or off; the task tells what came of it."""
        action = body(req, Action).action
        node = found(self._door, node_id)
        kind = ask.ActivateNode if action == "activate" else ask.DeactivateNode
        command = kind(
            actor=actor(req),
            task_id=self._door.task_id(),
            request_id=req.context.request_id,
            hostname=node.hostname,
        )
        self._door.carry_out(command)
        done = {"action": action, "node_id": node.node_id, "success": True, "task_id": command.task_id}
        answer(resp, done)

    def on_get(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Do the same: the seed uses GET."""
        self.on_post(req, resp, node_id)


class Nodes:
    """`/node` and `/node/{node_id}`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the nodes by ascending id."""
        Query(req, ())
        seen = self._door.leases.seen()
        with self._door.projections.reading() as tables:
            rows = self._door.projections.nodes.all(tables)
        answer(resp, {"nodes": [_shown(row, seen.get(row.hostname)) for row in rows]})

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, node_id: str) -> None:
        """Show a node."""
        Query(req, ())
        row = found(self._door, node_id)
        answer(resp, {"node": _shown(row, self._door.leases.seen().get(row.hostname))})


def found(door: Door, text: str) -> NodeRow:
    """Return the node of an id in a path. Raises Problem 400, NotRegistered."""
    node_id = number(text, "node_id")
    with door.projections.reading() as tables:
        row = door.projections.nodes.one(tables, node_id)
    if row is None:
        raise NotRegistered
    return row


def _shown(row: NodeRow, last_seen: datetime | None) -> dict[str, Any]:
    return {
        "id": row.node_id,
        "hostname": row.hostname,
        "active": row.active is True,
        "reachable": not row.lost,
        "last_seen": rfc1123(last_seen),
        "registered_at": rfc1123(row.registered_at),
        "swept_at": rfc1123(row.swept_at),
        "counts": row.counts,
    }
