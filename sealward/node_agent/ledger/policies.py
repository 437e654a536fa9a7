"""The policies of a node and its servers. The ledger has them, so they hold without the control plane."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
)

if TYPE_CHECKING:
    from sealward.node_agent.ledger.ledger import Ledger

NODE: Final = ""
"""The server_id under which the ledger has the policy of the node itself."""
_KINDS: Final = {
    "on_start": OnDoubt,
    "unsigned": Unsigned,
    "on_violation": OnViolation,
    "grace": float,
    "firmware": OnDoubt,
    "on_loss": OnLoss,
}


class Standing(NamedTuple):
    """The policy that holds for a server. `set_by` is the position of the event that set `on_violation`."""

    policy: Policy
    set_by: int | None


class Policies:
    """The policies that administrators set, for the threads of one agent."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def replace_all(
        self, policy: Policy, position: int | None, servers: dict[str, tuple[ServerPolicy, int | None]]
    ) -> None:
        """Keep these policies and no others."""
        rows = [(NODE, _text(policy), position)]
        rows += [
            (server_id, _text(own), set_by) for server_id, (own, set_by) in servers.items() if own != AS_NODE
        ]
        self._ledger.replace_policies(rows)

    def set_node(self, policy: Policy, position: int) -> None:
        """Keep the policy of the node."""
        self._ledger.keep_policy(NODE, _text(policy), position)

    def set_server(self, server_id: str, policy: ServerPolicy, position: int | None) -> None:
        """Keep the policy of a server."""
        if policy == AS_NODE:
            self.forget(server_id)
        else:
            self._ledger.keep_policy(server_id, _text(policy), position)

    def forget(self, server_id: str) -> None:
        """Forget the policy of a server: the policy of the node holds."""
        self._ledger.forget_policy(server_id)

    def of(self, server_id: str) -> Standing:
        """Return the policy that holds for a server."""
        return standing(self._ledger.policy(NODE), self._ledger.policy(server_id))


def standing(of_node: tuple[str, int | None] | None, of_server: tuple[str, int | None] | None) -> Standing:
    """Return the policy that holds for a server, from two rows (policy, position) of a ledger, or None."""
    node = DEFAULT if of_node is None else Policy(**_fields(of_node[0], Policy))
    own = AS_NODE if of_server is None else ServerPolicy(**_fields(of_server[0], ServerPolicy))
    source = of_server if own.on_violation is not None else of_node
    return Standing(effective(node, own), None if source is None else source[1])


def _text(policy: Policy | ServerPolicy) -> str:
    return json.dumps(asdict(policy))


def _fields(text: str, policy: type[Policy | ServerPolicy]) -> dict[str, Any]:
    """Return the fields of a policy, without fields that only a later version knows."""
    read = json.loads(text)
    names = {one.name for one in fields(policy)} & read.keys()
    known = {name: (kind, read[name]) for name, kind in _KINDS.items() if name in names}
    return {name: None if value is None else kind(value) for name, (kind, value) in known.items()}
