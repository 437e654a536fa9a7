"""The calls that admit and remove nodes, and replace the keys that sign their reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.events import values
from sealward.events.signing import keys
from sealward.events.store.store import StoreUnavailable
from sealward.http.auth.access import GOVERNS, Rule
from sealward.http.auth.context import context_of
from sealward.http.node import UNKNOWN, NodeAnswer
from sealward.http.operation.errors import Problem
from sealward.http.operation.operation import Answer, Operation

if TYPE_CHECKING:
    from sealward.http.node import Nodes

ED25519: Final = re.compile(
    "-----BEGIN PUBLIC KEY-----\r?\n"
    "MCowBQYDK2VwAyEA[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\r?\n"
    "-----END PUBLIC KEY-----[\r\n]*"
)
"""The form of an Ed25519 key in PEM (RFC 8410): twelve constant bytes and thirty-two of the key."""
PublicKey = Annotated[
    str,
    values.Text(4096, ".*", "a key in PEM form"),  # `_canonical` reports its errors
    msgspec.Meta(max_length=1000, extra_json_schema={"pattern": f"^{ED25519.pattern}$"}),
]
BAD_KEY: Final = {400: ("key.refused",)}
BAD_NEWCOMER: Final = {400: ("key.refused", "node.bad-hostname")}


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An Ed25519 public key in PEM form, as `sealward node key` prints it."""

    public_key: PublicKey


HOSTNAME: Final = re.compile(values.RFC1123)
Hostname = Annotated[
    str,
    values.Text(1024, ".*", "a hostname"),  # `_checked` reports its errors with a code of their own
    msgspec.Meta(extra_json_schema={"pattern": f"^{HOSTNAME.pattern}$"}),
]


class Newcomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node to let in: its hostname, and its key as `sealward node key` prints it on that node."""

    hostname: Hostname
    public_key: PublicKey


class Membership:
    """The calls that change `/node`, `/node/{node_id}` and `/node/{node_id}/key`.

    `nodes` finds and shows nodes.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._services = nodes.services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "POST",
                "/node",
                self.admit,
                {201: Answer(NodeAnswer, headers=("Location",))},
                rule=Rule("node:create", "Let a node in under a key of its own.", GOVERNS),
                body=Newcomer,
                refuses=BAD_NEWCOMER | {409: ("node.exists",)},
            ),
            Operation(
                "DELETE",
                "/node/{node_id}",
                self.remove,
                {204: Answer()},
                rule=Rule("node:delete", "Take a node away.", GOVERNS),
                refuses=UNKNOWN | {409: ("node.has-signs",)},
            ),
            Operation(
                "PUT",
                "/node/{node_id}/key",
                self.replace_key,
                {200: Answer(NodeAnswer)},
                rule=Rule("node:replace-key", "Have another key count as a node's own.", GOVERNS),
                body=Key,
                refuses=UNKNOWN | BAD_KEY,
            ),
        ]

    def admit(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let a node in before its agent registers, or again after it was removed."""
        asked: Newcomer = req.context.body
        command = ask.AdmitNode(
            context=context_of(req),
            hostname=_checked(asked.hostname),
            public_key=_canonical(asked.public_key),
        )
        self._services.carry_out(command)
        row = self._nodes.named(asked.hostname)
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"/v1/node/{row.node_id}")
        self._nodes.show(req, resp, row.node_id)

    def remove(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Remove a node that has no signs. Its agent is refused until the node is let in again."""
        node = self._nodes.found(node_id)
        command = ask.RemoveNode(
            context=context_of(req, self._services.task_id()),
            hostname=node.hostname,
            signed=self._signed(node_id),
        )
        self._services.carry_out(command)
        resp.status = falcon.HTTP_204

    def _signed(self, node_id: int) -> tuple[str, ...]:
        """Return the signed servers of a node, as of this call or later. Raises StoreUnavailable."""
        projections = self._services.projections
        if not projections.wait_for(self._services.store.head(), self._services.wait):
            raise StoreUnavailable("the projections are behind the log")
        with projections.reading() as tables:
            rows = projections.signs.page(tables, now=self._services.clock(), node_id=node_id)
        return tuple(row.server_id for row in rows)

    def replace_key(self, req: falcon.Request, resp: falcon.Response, node_id: int) -> None:
        """Replace the key of a node. Reports signed with the previous key are refused from now on."""
        command = ask.ReplaceKey(
            context=context_of(req),
            hostname=self._nodes.found(node_id).hostname,
            public_key=_canonical(req.context.body.public_key),
        )
        self._services.carry_out(command)
        self._nodes.show(req, resp, node_id)


def _checked(hostname: str) -> str:
    """Return a hostname. Raises Problem."""
    if len(hostname) > values.MOST_OF_HOSTNAME or not HOSTNAME.fullmatch(hostname):
        raise Problem(
            400, "node.bad-hostname", "hostname must be a name of letters, digits, dots and hyphens."
        )
    return hostname


def _canonical(text: str) -> str:
    """Return a public key in the form in which a node itself sends it. Raises Problem."""
    if not ED25519.fullmatch(text):
        message = "public_key must be an Ed25519 public key in PEM form, as `sealward node key` prints it."
        raise Problem(400, keys.KeyRefused.code, message)
    return keys.public_pem(keys.public_key(text))
