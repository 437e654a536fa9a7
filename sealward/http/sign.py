"""The signs: the seed's calls on the signs of servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import AlreadySigned, NotSigned
from sealward.events.comparison.measurement import LIBVIRT_DOMAIN
from sealward.events.is_valid import IsValid
from sealward.http.auth.access import CHANGES, LOOKS, Rule
from sealward.http.auth.context import context_of
from sealward.http.operation.answer import AskedId, Date, Id, Uuid, answer, date
from sealward.http.operation.errors import Problem
from sealward.http.operation.etag import is_known, only_if, tag
from sealward.http.operation.operation import OF_A_SIGN, PAST_BUSY, Answer, Operation
from sealward.http.operation.paging import Paging
from sealward.http.operation.parameter import AT, LIMIT, NODE_ID, OFFSET, Query, canonical_uuid, choice, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealward.events.store.round_trip import Prefetch
    from sealward.http.services import Services
    from sealward.projections.servers import ServerRow
    from sealward.projections.signs import SignRow
    from sealward.projections.store.tables import Tables

MARKER: Final = whole("marker", "Only signs beyond that id: the last one of the page before.")
IS_VALID: Final = choice("is_valid", tuple(IsValid), "Only those of this verdict.")
MISMATCH: Final = {412: ("sign.changed",)}


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server that is to be signed, by its UUID."""

    server_id: Uuid


class ToSign(Named, frozen=True):
    """The server that is to be signed, and the node that it is on: needed where several nodes report it.

    A `node_id` of 0 counts as none.
    """

    node_id: AskedId = 0


class ToUpdate(Named, frozen=True):
    """The server that is to be signed anew, and the node that it is on.

    The node is needed where the sign has moved and no administrator has confirmed the server's node. A
    `node_id` of 0 counts as none.
    """

    node_id: AskedId = 0


class Sign(msgspec.Struct, frozen=True):
    """The record that a server is under integrity control: the seed's seven keys."""

    id: Id
    instance_name: str
    server_id: Uuid
    node_id: Id
    is_valid: IsValid
    created_at: Date
    updated_at: Date | None


class SignAnswer(msgspec.Struct, frozen=True):
    """A sign."""

    sign: Sign


class SignList(msgspec.Struct, frozen=True):
    """Signs by ascending id."""

    signs: list[Sign]


NO_NEW_SIGN: Final = {
    400: ("server.bad-uuid",),
    404: ("server.not-found",),
    409: ("sign.exists", "server.on-several-nodes"),
    410: ("sign.revoked-meanwhile",),
    503: ("projections.lagging",),
}
"""Status and reasons of a refusal to sign a server."""
NOT_ANEW: Final = {
    400: ("server.bad-uuid",),
    409: ("sign.place-unconfirmed",),
    410: ("sign.revoked-meanwhile",),
    503: ("projections.lagging",),
}
"""Status and reasons of a refusal to sign a server anew, beside the reasons of every call about a sign."""


class Signs:
    """`/sign` and `/sign/{server_id}`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        one = Answer(SignAnswer, headers=("ETag",))
        return [
            Operation(
                "GET",
                "/sign",
                self.list,
                {200: Answer(SignList, headers=("Link",))},
                rule=Rule("sign:list", "List the signs.", LOOKS),
                query=(OFFSET, LIMIT, MARKER, IS_VALID, NODE_ID, AT),
                refuses=PAST_BUSY,
            ),
            Operation(
                "POST",
                "/sign",
                self.create,
                {201: Answer(SignAnswer, headers=("Location", "ETag"))},
                rule=Rule("sign:create", "Sign a server.", CHANGES),
                body=ToSign,
                refuses=NO_NEW_SIGN,
            ),
            Operation(
                "PUT",
                "/sign",
                self.update,
                {200: one},
                rule=Rule("sign:update", "Sign a server anew: make a new reference.", CHANGES),
                headers=("If-Match",),
                body=ToUpdate,
                refuses=OF_A_SIGN | MISMATCH | NOT_ANEW,
            ),
            Operation(
                "GET",
                "/sign/{server_id}",
                self.show,
                {200: one, 304: Answer(headers=("ETag",))},
                rule=Rule("sign:show", "Show a sign.", LOOKS),
                query=(AT,),
                headers=("If-None-Match",),
                refuses=OF_A_SIGN | PAST_BUSY,
                reads=self._prefetch,
            ),
            Operation(
                "DELETE",
                "/sign/{server_id}",
                self.revoke,
                {204: Answer()},
                rule=Rule("sign:delete", "Take a server off control.", CHANGES),
                headers=("If-Match",),
                refuses=OF_A_SIGN | MISMATCH,
            ),
        ]

    def list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the signs by ascending id, whole unless `limit` is given."""
        query: Query = req.context.query
        paging = Paging(req, resp, self._services.public_url)
        is_valid = query.get(IS_VALID)
        with self._services.signs_at(query.get(AT)) as (signs, tables, now):
            rows = signs.page(
                tables,
                now=now,
                after=query.get(MARKER) or 0,
                offset=query.get(OFFSET) or 0,
                limit=paging.to_read,
                is_valid=None if is_valid is None else IsValid(is_valid),
                node_id=query.get(NODE_ID),
            )
        page = paging.page(rows, marker=lambda row: row.sign_id)
        answer(resp, SignList([shown(row, now) for row in page]), order="sorted")

    def create(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sign a server, and wait for its seal."""
        asked = canonical_uuid(req.context.body.server_id)
        with self._services.projections.reading() as tables:
            found = self._services.projections.servers.everywhere(tables, asked)
            signed = self._services.projections.signs.one(tables, asked) is not None
        if signed:
            raise AlreadySigned
        server = _only(found, req.context.body.node_id)
        is_shown = self._services.carry_out(_create(server, req, self._services.task_id()))
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"/v1/sign/{asked}")
        self._answer_when_sealed(asked, resp, is_shown=is_shown)

    def update(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sign a server anew: make a reference of its present state, and wait for the seal."""
        asked = canonical_uuid(req.context.body.server_id)
        command = ask.UpdateSign(
            context=context_of(req, self._services.task_id()),
            server_id=asked,
            expected=only_if(req, self._services, asked),
            node_id=int(req.context.body.node_id) or None,
        )
        is_shown = self._services.carry_out(command)
        self._answer_when_sealed(asked, resp, is_shown=is_shown)

    def show(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the sign of a server."""
        row, now = found(self._services, req, server_id)
        if not is_known(req, resp, tag(row, now)):
            answer(resp, SignAnswer(shown(row, now)))

    def revoke(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Take a server off control."""
        command = ask.RevokeSign(
            context=context_of(req, self._services.task_id()),
            server_id=server_id,
            expected=only_if(req, self._services, server_id),
        )
        self._services.carry_out(command)
        resp.status = falcon.HTTP_204

    def _prefetch(self, server_id: str) -> Prefetch | None:
        return self._services.sign_prefetch(server_id)

    def _answer_when_sealed(self, asked: str, resp: falcon.Response, *, is_shown: bool) -> None:
        signs = self._services.projections.signs

        def is_sealed(tables: Tables) -> bool:
            row = signs.one(tables, asked)
            return row is None or row.sealed >= row.ordered

        self._services.wait_until(is_sealed)
        with self._services.projections.reading() as tables:
            row = signs.one(tables, asked)
        if row is None and not is_shown:
            message = "The order is recorded, and the lists do not show it yet; GET the sign in some seconds."
            raise Problem(503, "projections.lagging", message, {"Retry-After": "2"})
        if row is None:
            message = "This was carried out; then another request took the server off control."
            raise Problem(410, "sign.revoked-meanwhile", message)
        now = self._services.clock()
        resp.etag = tag(row, now)
        answer(resp, SignAnswer(shown(row, now)), order="sorted")


def found(services: Services, req: falcon.Request, server_id: str) -> tuple[SignRow, datetime]:
    """Return a sign and the moment as of which it is read: now, or `at` of the query. Raises NotSigned."""
    prefetch: Prefetch | None = req.context.prefetch
    at = req.context.query.get(AT)
    if at is None and prefetch is not None and prefetch.answers(server_id):
        row, now = services.projections.signs.found(prefetch), services.clock()
    else:
        with services.signs_at(at) as (signs, tables, now):
            row = signs.one(tables, server_id)
    if row is None:
        raise NotSigned
    return row, now


def shown(row: SignRow, now: datetime) -> Sign:
    """Return a sign in the form of the API."""
    return Sign(
        row.sign_id,
        row.instance_name,
        row.server_id,
        row.node_id,
        row.verdict_at(now).is_valid,
        date(row.created_at),
        None if row.updated_at is None else date(row.updated_at),
    )


def _only(found: Sequence[ServerRow], node_id: float) -> ServerRow:
    """Return the node of a server: from the request, or the only node that reports it. Raises Problem.

    If several nodes report the server, no node is chosen: a hostile node may report the server so that its
    own copy of the server is signed.
    """
    rows = [one for one in found if node_id in {0, one.node_id}]
    if not rows:
        message = "No such node reports such a server; GET /v1/server lists those that are known."
        raise Problem(404, "server.not-found", message)
    if len({one.node_id for one in rows}) > 1:
        nodes = ", ".join(f"{one.node_id} ({one.hostname})" for one in rows)
        message = f"Nodes {nodes} report this server: say by node_id which of them has the server to sign."
        raise Problem(409, "server.on-several-nodes", message)
    return rows[0]


def _create(server: ServerRow, req: falcon.Request, task_id: str) -> ask.CreateSign:
    return ask.CreateSign(
        context=context_of(req, task_id),
        server_id=server.server_id,
        node_id=server.node_id,
        hostname=server.hostname,
        instance_name=server.instance_name,
        profile=LIBVIRT_DOMAIN,
    )
