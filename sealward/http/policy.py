"""Policies of nodes and servers: the reactions of a node to servers that are not as they were signed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import NotRegistered, NotSigned
from sealward.events.policy import (
    AS_NODE,
    DEFAULT,
    OnDoubt,
    OnLoss,
    OnViolation,
    Policy,
    ServerPolicy,
    Unsigned,
    effective,
    leaves_open,
)
from sealward.http.auth.access import GOVERNS, LOOKS, Rule
from sealward.http.auth.context import context_of
from sealward.http.node import UNKNOWN
from sealward.http.operation.answer import Position, answer
from sealward.http.operation.operation import OF_A_SIGN, Answer, Operation

if TYPE_CHECKING:
    from sealward.http.services import Services
    from sealward.projections.nodes import NodeRow

LONGEST_GRACE: Final = 24 * 3600
"""Seconds that a server can be given to shut down by itself, at most."""
Grace = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_GRACE)]


class OfNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The policy of a node as a whole. A field that is not given has its default. `grace` is in seconds."""

    on_start: OnDoubt = DEFAULT.on_start
    unsigned: Unsigned = DEFAULT.unsigned
    on_violation: OnViolation = DEFAULT.on_violation
    grace: Grace = DEFAULT.grace
    firmware: OnDoubt = DEFAULT.firmware
    on_loss: OnLoss = DEFAULT.on_loss


class OfServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The policy of a server as a whole. A field that is null or not given is as in the node's policy."""

    on_start: OnDoubt | None = None
    on_violation: OnViolation | None = None
    grace: Grace | None = None


class NodePolicyShown(OfNode, frozen=True):
    """The policy of a node. `position` is that of the event that set it, null if it was never set."""

    position: Position | None = None


class ServerPolicyShown(OfServer, frozen=True):
    """The policy of a server. `position` is that of the event that set it, null if it was never set."""

    position: Position | None = None


Open = tuple[str, ...] | msgspec.UnsetType
"""Sentences about the starts that a refusing policy does not refuse. Left out where there are none."""


class NodePolicyAnswer(msgspec.Struct, frozen=True):
    """The policy of a node, and the starts that it does not refuse."""

    policy: NodePolicyShown
    leaves_open: Open = msgspec.UNSET


class ServerPolicyAnswer(msgspec.Struct, frozen=True):
    """The policy of a server, its combination with the node's policy, and the starts that are not refused."""

    policy: ServerPolicyShown
    effective: OfNode
    leaves_open: Open = msgspec.UNSET


class Policies:
    """`/node/{node_id}/policy` and `/sign/{server_id}/policy`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        of_node, of_server = "/node/{node_id}/policy", "/sign/{server_id}/policy"
        sets = Rule(
            "sign:set-policy",
            "Have a server treated otherwise than its node's policy says, or no longer.",
            GOVERNS,
        )
        node, server = {200: Answer(NodePolicyAnswer)}, {200: Answer(ServerPolicyAnswer)}
        return [
            Operation(
                "GET",
                of_node,
                self.show_node,
                node,
                rule=Rule("node:policy", "Show the policy of a node.", LOOKS),
                refuses=UNKNOWN,
            ),
            Operation(
                "PUT",
                of_node,
                self.set_node,
                node,
                rule=Rule("node:set-policy", "Set the policy of a node.", GOVERNS),
                body=OfNode,
                refuses=UNKNOWN,
            ),
            Operation(
                "GET",
                of_server,
                self.show_server,
                server,
                rule=Rule("sign:policy", "Show the policy of a server.", LOOKS),
                refuses=OF_A_SIGN,
            ),
            Operation("PUT", of_server, self.set_server, server, rule=sets, body=OfServer, refuses=OF_A_SIGN),
            Operation("DELETE", of_server, self.clear_server, {204: Answer()}, rule=sets, refuses=OF_A_SIGN),
        ]

    def show_node(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Show the policy of a node."""
        del req
        row = self._node(node_id)
        shown = NodePolicyShown(**asdict(row.policy), position=row.policy_position)
        answer(resp, NodePolicyAnswer(shown, leaves_open(row.policy) or msgspec.UNSET))

    def set_node(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Set the policy of a node."""
        command = ask.SetNodePolicy(
            context=context_of(req),
            hostname=self._node(node_id).hostname,
            policy=Policy(**msgspec.structs.asdict(req.context.body)),
        )
        self._services.carry_out(command)
        self.show_node(req, resp, node_id)

    def show_server(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the policy of a server, and its combination with the policy of its node."""
        del req
        with self._services.projections.reading() as tables:
            row = self._services.projections.signs.one(tables, server_id)
            node = None if row is None else self._services.projections.nodes.one(tables, row.node_id)
        if row is None:
            raise NotSigned
        holds = effective(DEFAULT if node is None else node.policy, row.policy)
        own = ServerPolicyShown(**asdict(row.policy), position=row.policy_position)
        answer(resp, ServerPolicyAnswer(own, OfNode(**asdict(holds)), leaves_open(holds) or msgspec.UNSET))

    def set_server(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Set the policy of a server, which overrides fields of its node's policy."""
        self._set(req, server_id, ServerPolicy(**msgspec.structs.asdict(req.context.body)))
        self.show_server(req, resp, server_id)

    def clear_server(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Remove the policy of a server, so that its node's policy holds for it."""
        self._set(req, server_id, AS_NODE)
        resp.status = falcon.HTTP_204

    def _set(self, req: falcon.Request, server_id: str, policy: ServerPolicy) -> None:
        command = ask.SetServerPolicy(
            context=context_of(req),
            server_id=server_id,
            policy=policy,
        )
        self._services.carry_out(command)

    def _node(self, node_id: int) -> NodeRow:
        with self._services.projections.reading() as tables:
            row = self._services.projections.nodes.one(tables, node_id)
        if row is None:
            raise NotRegistered
        return row
