"""An administrator's order to move a sign. It is decided on the sign and on the last reports of two nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealward.commands import messages as ask
from sealward.commands.errors import NotSigned, NotThere
from sealward.commands.moves import location
from sealward.events.sign import Grounds

if TYPE_CHECKING:
    from sealward.commands.context import RequestContext
    from sealward.commands.writer.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMove:
    """Move the sign of a server to the node `hostname`."""

    context: RequestContext
    server_id: str
    hostname: str


def order_move(decisions: UnitOfWork, order: OrderMove) -> None:
    """Move a sign whose home is lost, was removed, or does not run the server.

    Raises NotSigned, NotThere, NodeNotLost.
    """
    sign, node = decisions.sign(order.server_id), decisions.node(order.hostname)
    if sign is None:
        raise NotSigned
    name = None if node is None or node.removed else dict(node.instances).get(order.server_id)
    if node is None or name is None:
        raise NotThere
    if node.node_id == sign.node_id:
        return
    home = location.standing(decisions.node(sign.hostname), sign.node_id, order.server_id)
    location.refuse_order(home)
    decisions.handle(
        ask.MoveSign(
            context=order.context,
            server_id=order.server_id,
            node_id=node.node_id,
            hostname=node.hostname,
            instance_name=name,
            grounds=Grounds.ORDERED,
        )
    )
