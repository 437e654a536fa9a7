"""The history of a server: the events about it, with their actors and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sealward.commands.errors import NotSigned
from sealward.events.base import Origin  # noqa: TC001 - the answer's form is read off the annotations
from sealward.http.auth.access import PROOF, Rule
from sealward.http.operation.answer import Id, Time, answer
from sealward.http.operation.operation import OF_A_SIGN, Answer, Operation
from sealward.http.operation.paging import Paging
from sealward.http.operation.parameter import LIMIT, Query, whole

if TYPE_CHECKING:
    import falcon

    from sealward.http.services import Services
    from sealward.projections.history import HistoryRow

AFTER = whole("after", "Only events beyond that position in the log.")


class Happened(msgspec.Struct, frozen=True):
    """An event about a server; `data` has the fields that only this kind of event has."""

    position: Id
    type: str
    time: Time
    actor: str
    task_id: str | None
    request_id: str | None
    origin: Origin | None
    node_id: Id
    data: dict[str, Any]


class HistoryAnswer(msgspec.Struct, frozen=True):
    """Events by ascending position."""

    events: list[Happened]


class History:
    """`/sign/{server_id}/events`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def operations(self) -> list[Operation]:
        """Return the calls."""
        return [
            Operation(
                "GET",
                "/sign/{server_id}/events",
                self.list,
                {200: Answer(HistoryAnswer, headers=("Link",))},
                rule=Rule("sign:history", "Show who did what to a server.", PROOF),
                query=(AFTER, LIMIT),
                refuses=OF_A_SIGN,
            )
        ]

    def list(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Show the events about a server with their actors and times, also after its sign was revoked."""
        query: Query = req.context.query
        paging = Paging(req, resp, self._services.public_url)
        history = self._services.projections.history
        with self._services.projections.reading() as tables:
            rows = history.of_server(
                tables,
                server_id,
                after=query.get(AFTER) or 0,
                limit=paging.to_read,
            )
            known = rows or history.of_server(tables, server_id, limit=1)
        if not known:
            raise NotSigned
        page = paging.page(rows, after=lambda row: row.position)
        answer(resp, HistoryAnswer([_happened(row) for row in page]))


def _happened(row: HistoryRow) -> Happened:
    return Happened(
        row.position,
        row.topic,
        row.at.isoformat(),
        row.actor,
        row.task_id,
        row.request_id,
        row.origin,
        row.node_id,
        row.data,
    )
