"""The call that signs anew all servers that a libvirt upgrade has left in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import Changed, NotInDoubt, NotSigned, PlaceUnconfirmed
from sealward.events.is_valid import IsValid
from sealward.http.auth.access import CHANGES, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import Uuid, answer
from sealward.http.operation.operation import Answer, Operation
from sealward.http.operation.parameter import NODE_ID

if TYPE_CHECKING:
    from sealward.http.services import Services
    from sealward.projections.signs import SignRow

MOST: Final = 500
"""Orders that a request gives, at most. The next request gives further orders."""


class Order(msgspec.Struct, frozen=True):
    """An order to sign a server anew, and the task that has its outcome."""

    server_id: Uuid
    task_id: str


class OrdersAnswer(msgspec.Struct, frozen=True):
    """The orders that were given, and the number of servers in doubt that need another request."""

    orders: list[Order]
    left: Annotated[int, msgspec.Meta(ge=0)]


class Doubts:
    """`/sign/in-doubt`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "POST",
                "/sign/in-doubt",
                self.order,
                {202: Answer(OrdersAnswer)},
                rule=Rule(
                    "sign:update-in-doubt",
                    "Sign anew all servers that a libvirt upgrade has left in doubt.",
                    CHANGES,
                ),
                query=(NODE_ID,),
            )
        ]

    def order(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sign anew all servers that a libvirt upgrade has left in doubt, if nothing else has changed."""
        rows = self._in_doubt(req.context.query.get(NODE_ID))
        orders = [one for row in rows[:MOST] if (one := self._order(req, row)) is not None]
        resp.status = falcon.HTTP_202
        answer(resp, OrdersAnswer(orders, max(0, len(rows) - MOST)))

    def _in_doubt(self, node_id: int | None) -> list[SignRow]:
        """Return the signs in doubt without an open order."""
        now = self._services.clock()
        with self._services.projections.reading() as tables:
            rows = self._services.projections.signs.page(
                tables, now=now, is_valid=IsValid.UNKNOWN, node_id=node_id
            )
        return [row for row in rows if row.verdict.is_in_doubt and row.sealed == row.ordered]

    def _order(self, req: falcon.Request, row: SignRow) -> Order | None:
        """Give an order; None where another client was faster, or where the order must name a node."""
        task_id = self._services.task_id()
        command = ask.UpdateSign(
            context=context_of(req, task_id),
            server_id=row.server_id,
            in_doubt=True,
        )
        try:
            self._services.carry_out(command)
        except (NotSigned, Changed, NotInDoubt, PlaceUnconfirmed):
            return None
        return Order(row.server_id, task_id)
