"""The call by which an administrator orders that the sign of a server moves to another node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sealward.commands.errors import NotRegistered, NotSigned
from sealward.commands.moves.order import OrderMove, order_move
from sealward.http.auth.access import GOVERNS, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import AskedId, answer
from sealward.http.operation.operation import Answer, Operation
from sealward.http.sign import SignAnswer, shown

if TYPE_CHECKING:
    import falcon

    from sealward.http.services import Services


class Destination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The node that the sign moves to. The node must report the server."""

    node_id: AskedId


class Moves:
    """`/sign/{server_id}/move`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "POST",
                "/sign/{server_id}/move",
                self.move,
                {200: Answer(SignAnswer)},
                rule=Rule(
                    "sign:move", "Move a sign to another node: its own node does not run the server.", GOVERNS
                ),
                body=Destination,
                refuses={
                    404: ("sign.not-found", "node.not-found"),
                    409: ("sign.node-not-lost", "sign.not-there"),
                },
            )
        ]

    def move(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Move a sign to a node that reports the server, if the sign's node does not run the server."""
        with self._services.projections.reading() as tables:
            node = self._services.projections.nodes.one(tables, int(req.context.body.node_id))
        if node is None:
            raise NotRegistered
        order = OrderMove(
            context=context_of(req, self._services.task_id()),
            server_id=server_id,
            hostname=node.hostname,
        )
        self._services.carry_out_together(lambda decisions: order_move(decisions, order))
        with self._services.projections.reading() as tables:
            row = self._services.projections.signs.one(tables, server_id)
        if row is None:
            raise NotSigned
        answer(resp, SignAnswer(shown(row, self._services.clock())))
