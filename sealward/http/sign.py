"""The signs: the seed's calls, and what there is to know beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon
import msgspec

from sealward.commands import messages as ask
from sealward.commands.errors import AlreadySigned, NotSigned
from sealward.events.measurement import LIBVIRT_DOMAIN
from sealward.events.verdict import IsValid
from sealward.http.answer import answer, rfc1123
from sealward.http.auth import actor
from sealward.http.errors import Problem
from sealward.http.request import Query, body, canonical_uuid

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.http.door import Door
    from sealward.projections.history import HistoryRow
    from sealward.projections.servers import ServerRow
    from sealward.projections.signs import SignRow
    from sealward.projections.tables import Tables


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST and PUT."""

    server_id: str


class Signs:
    """`/sign`: the list, a new sign, a re-sign."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the signs by ascending id, whole unless `limit` is given."""
        query = Query(req, ("offset", "limit", "is_valid", "node_id", "at"))
        is_valid = query.choice("is_valid", tuple(IsValid))
        with self._door.signs_at(query.moment("at")) as (signs, tables, now):
            rows = signs.page(
                tables,
                now=now,
                offset=query.number("offset") or 0,
                limit=query.number("limit"),
                is_valid=None if is_valid is None else IsValid(is_valid),
                node_id=query.number("node_id"),
            )
        answer(resp, {"signs": [_sorted(shown(row, now)) for row in rows]})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Sign a server, and wait for its seal."""
        asked = canonical_uuid(body(req, Server).server_id)
        with self._door.projections.reading() as tables:
            server = self._door.projections.servers.find(tables, asked)
            signed = self._door.projections.signs.one(tables, asked) is not None
        if signed:
            raise AlreadySigned
        if server is None:
            message = "No node reports such a server; GET /v1/server lists those that are known."
            raise Problem(404, "server.not-found", message)
        self._door.carry_out(_create(server, req, self._door.task_id()))
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"/v1/sign/{asked}")
        self._answer_when_sealed(asked, resp)

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a new reference of what the server is now, and wait for its seal."""
        asked = canonical_uuid(body(req, Server).server_id)
        command = ask.UpdateSign(
            actor=actor(req),
            task_id=self._door.task_id(),
            request_id=req.context.request_id,
            server_id=asked,
        )
        self._door.carry_out(command)
        self._answer_when_sealed(asked, resp)

    def _answer_when_sealed(self, asked: str, resp: falcon.Response) -> None:
        signs = self._door.projections.signs

        def is_sealed(tables: Tables) -> bool:
            row = signs.one(tables, asked)
            return row is None or row.sealed >= row.ordered

        self._door.wait_until(is_sealed)
        with self._door.projections.reading() as tables:
            row = signs.one(tables, asked)
        if row is None:
            message = "This was carried out; then another request took the server off control."
            raise Problem(410, "sign.revoked-meanwhile", message)
        answer(resp, {"sign": _sorted(shown(row, self._door.clock()))})


class Sign:
    """`/sign/{server_id}` and what is under it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the sign of a server."""
        row, now = self._row(server_id, Query(req, ("at",)).moment("at"))
        answer(resp, {"sign": shown(row, now)})

    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Take a server off control."""
        command = ask.RevokeSign(
            actor=actor(req),
            task_id=self._door.task_id(),
            request_id=req.context.request_id,
            server_id=canonical_uuid(server_id),
        )
        self._door.carry_out(command)
        resp.status = falcon.HTTP_204

    def on_post_validate(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Have a server measured and compared now."""
        command = ask.RequestValidation(
            actor=actor(req),
            task_id=self._door.task_id(),
            request_id=req.context.request_id,
            server_id=canonical_uuid(server_id),
        )
        self._door.carry_out(command)
        resp.status = falcon.HTTP_202
        resp.set_header("Location", f"/v1/task/{command.task_id}")
        answer(resp, {"server_id": command.server_id, "task_id": command.task_id})

    def on_get_verdict(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the verdict with its reasons and findings."""
        row, now = self._row(server_id, Query(req, ("at",)).moment("at"))
        verdict = row.verdict_at(now)
        known = {
            "server_id": row.server_id,
            "is_valid": verdict.is_valid.value,
            "reasons": verdict.reasons,
            "findings": verdict.findings,
            "checked_at": rfc1123(verdict.checked_at),
            "fresh_until": rfc1123(verdict.fresh_until),
            "generation": row.sealed,
        }
        answer(resp, {"verdict": known})

    def on_get_envelope(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the reference in force: the DSSE envelope signed by node and authority."""
        row, _ = self._row(server_id, Query(req, ("at",)).moment("at"))
        if row.envelope is None:
            message = "The node has not measured this server yet; GET …/verdict says more."
            raise Problem(404, "sign.not-sealed", message)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = row.envelope.encode()

    def on_get_events(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show who did what to the server, and when; also after its sign was revoked."""
        query = Query(req, ("after", "limit"))
        asked = canonical_uuid(server_id)
        with self._door.projections.reading() as tables:
            rows = self._door.projections.history.of_server(
                tables, asked, after=query.number("after") or 0, limit=query.number("limit")
            )
            known = rows or self._door.projections.history.of_server(tables, asked, limit=1)
        if not known:
            raise NotSigned
        answer(resp, {"events": [_event(row) for row in rows]})

    def _row(self, text: str, at: datetime | None) -> tuple[SignRow, datetime]:
        """Return a sign and the moment to read it for: now, or the one that was asked for."""
        asked = canonical_uuid(text)
        with self._door.signs_at(at) as (signs, tables, now):
            row = signs.one(tables, asked)
        if row is None:
            raise NotSigned
        return row, now


def shown(row: SignRow, now: datetime) -> dict[str, Any]:
    """Return the seed's seven keys, in the order of its first example."""
    return {
        "id": row.sign_id,
        "instance_name": row.instance_name,
        "server_id": row.server_id,
        "node_id": row.node_id,
        "is_valid": row.verdict_at(now).is_valid.value,
        "created_at": rfc1123(row.created_at),
        "updated_at": None if row.updated_at is None else rfc1123(row.updated_at),
    }


def _create(server: ServerRow, req: falcon.Request, task_id: str) -> ask.CreateSign:
    return ask.CreateSign(
        actor=actor(req),
        task_id=task_id,
        request_id=req.context.request_id,
        server_id=server.server_id,
        node_id=server.node_id,
        hostname=server.hostname,
        instance_name=server.instance_name,
        profile=LIBVIRT_DOMAIN,
    )


def _event(row: HistoryRow) -> dict[str, Any]:
    return {
        "position": row.position,
        "type": row.topic,
        "time": row.at.isoformat(),
        "actor": row.actor,
        "task_id": row.task_id,
        "request_id": row.request_id,
        "node_id": row.node_id,
        "data": row.data,
    }


def _sorted(sign: dict[str, Any]) -> dict[str, Any]:
    """Return the keys as the seed prints them in lists and in answers to POST and PUT."""
    return dict(sorted(sign.items()))
