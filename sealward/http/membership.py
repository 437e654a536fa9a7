"""Who counts as a node: the key that its reports must be signed by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from sealward.commands import messages as ask
from sealward.events import keys
from sealward.http.auth import actor
from sealward.http.errors import Problem
from sealward.http.node import UNKNOWN, NodeAnswer
from sealward.http.operation import Answer, Operation

if TYPE_CHECKING:
    import falcon

    from sealward.http.node import Nodes

ED25519: Final = (
    "^-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\n"
    "-----END PUBLIC KEY-----\n?$"
)
"""An Ed25519 key in PEM form (RFC 8410): twelve bytes that are always the same, and thirty-two."""
PublicKey = Annotated[str, msgspec.Meta(max_length=1000, extra_json_schema={"pattern": ED25519})]
BAD_KEY: Final = {400: ("key.refused",)}


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Ed25519 public key in PEM form, as `sealward node key` prints it."""

    public_key: PublicKey


class Membership:
    """`/node/{node_id}/key`. `nodes` finds and shows them."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._door = nodes.door

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "PUT",
                "/node/{node_id}/key",
                self.replace_key,
                {200: Answer(NodeAnswer)},
                body=Key,
                refuses=UNKNOWN | BAD_KEY,
            ),
        ]

    def replace_key(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Have another key count as a node's: what is signed by the one before is refused from now on."""
        command = ask.ReplaceKey(
            actor=actor(req),
            task_id=None,
            request_id=req.context.request_id,
            global_request_id=req.context.global_request_id,
            origin=req.context.identity.origin,
            hostname=self._nodes.found(node_id).hostname,
            public_key=_canonical(req.context.body.public_key),
        )
        self._door.carry_out(command)
        self._nodes.show(req, resp, node_id)


def _canonical(text: str) -> str:
    """Return a public key as a node says it itself. Raises Problem."""
    try:
        return keys.public_pem(keys.public_key(text))
    except keys.KeyRefused as refused:
        message = "public_key must be an Ed25519 public key in PEM form, as `sealward node key` prints it."
        raise Problem(400, refused.code, message) from refused
