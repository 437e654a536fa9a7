"""The answers of GET /v1/sign: one row for each server under control."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from sealward.events import node as of_node
from sealward.events import ranges
from sealward.events import sign as of_sign
from sealward.events.sql import blocks
from sealward.events.verdict import UNSEALED, IsValid, Verdict, at, recorded, vouched, withheld

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from sealward.events.base import Event, Recorded

SQL = blocks("sealward.projections", "signs.sql")


@dataclass(frozen=True, slots=True)
class SignRow:
    """A sign as it was last known; read it with `verdict_at`, for freshness runs out by itself."""

    sign_id: int
    server_id: str
    node_id: int
    instance_name: str
    ordered: int
    """The generation that was ordered last."""
    created_at: datetime
    updated_at: datetime | None = None
    sealed: int = 0
    """The generation in force, 0 before the first seal."""
    verdict: Verdict = UNSEALED
    envelope: str | None = None

    def verdict_at(self, now: datetime) -> Verdict:
        """Return the verdict as it reads at `now`."""
        return at(self.verdict, now)


class Signs:
    """Derives the rows from the log, and answers from them."""

    name = "signs"

    def reset(self, cursor: sqlite3.Cursor) -> None:
        """Begin with no rows."""
        cursor.execute(SQL["drop"])
        cursor.execute(SQL["create"])

    def create(self, cursor: sqlite3.Cursor) -> None:
        """Make the table where there is none."""
        cursor.execute(SQL["create"])

    def apply(self, batch: Iterable[Recorded], cursor: sqlite3.Cursor) -> None:
        """Fold a batch of events, in order, into the rows."""
        rows = _Batch(cursor)
        for one in batch:
            rows.fold(one.event)
        rows.flush()

    def one(self, cursor: sqlite3.Cursor, server_id: str) -> SignRow | None:
        """Return the sign of a server."""
        found = cursor.execute(SQL["by-server"], {"server_id": server_id}).fetchone()
        return _row(found) if found else None

    def page(  # noqa: PLR0913 - the filters that the API has
        self,
        cursor: sqlite3.Cursor,
        *,
        now: datetime,
        offset: int = 0,
        limit: int | None = None,
        is_valid: IsValid | None = None,
        node_id: int | None = None,
    ) -> list[SignRow]:
        """Return the signs by ascending id, whole unless `limit` is given."""
        values = {
            "now": _stamp(now),
            "offset": offset,
            "limit": -1 if limit is None else limit,
            "is_valid": is_valid,
            "node_id": node_id,
        }
        return [_row(found) for found in cursor.execute(SQL["page"], values)]


class _Batch:
    """The rows that a batch touches, each read and written once."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self._rows: dict[str, SignRow | None] = {}

    def fold(self, event: Event) -> None:
        match event:
            case of_sign.SignCreated():
                self._rows[event.server_id] = _created(event)
            case of_sign.SignRevoked():
                self._rows[event.server_id] = None
            case of_sign.SignEvent():
                self._change(event.server_id, lambda row: _after(row, event))
            case of_node.InstanceLeft():
                self._change(event.server_id, lambda row: _left(row, event))
            case of_node.NodeLost():
                self._withhold(event.node_id, "node-lost", event.timestamp)
            case of_node.NodeDeactivated():
                self._withhold(event.node_id, "node-deactivated", event.timestamp)
            case of_node.NodeSwept():
                self._of_node(event.node_id, _sweep(event))

    def flush(self) -> None:
        for server_id, row in self._rows.items():
            if row is None:
                self._cursor.execute(SQL["delete"], {"server_id": server_id})
        values = [_values(row) for row in self._rows.values() if row is not None]
        self._cursor.executemany(SQL["put"], values)

    def _change(self, server_id: str, change: Callable[[SignRow], SignRow]) -> None:
        if server_id not in self._rows:
            found = self._cursor.execute(SQL["by-server"], {"server_id": server_id}).fetchone()
            self._rows[server_id] = _row(found) if found else None
        row = self._rows[server_id]
        if row is not None:
            self._rows[server_id] = change(row)

    def _withhold(self, node_id: int, reason: str, moment: datetime) -> None:
        self._of_node(node_id, lambda row: _withheld(row, reason, moment))

    def _of_node(self, node_id: int, change: Callable[[SignRow], SignRow]) -> None:
        for found in self._cursor.execute(SQL["by-node"], {"node_id": node_id}).fetchall():
            self._rows.setdefault(found["server_id"], _row(found))
        for server_id, row in self._rows.items():
            if row is not None and row.node_id == node_id:
                self._rows[server_id] = change(row)


def _created(event: of_sign.SignCreated) -> SignRow:
    return SignRow(
        event.sign_id,
        event.server_id,
        event.node_id,
        event.instance_name,
        event.generation,
        event.timestamp,
    )


def _after(row: SignRow, event: of_sign.SignEvent) -> SignRow:
    match event:
        case of_sign.SignUpdated():
            return replace(row, ordered=event.generation, updated_at=event.timestamp)
        case of_sign.SignSealed():
            envelope = msgspec.json.encode(event.envelope).decode()
            return replace(row, sealed=event.generation, envelope=envelope)
        case of_sign.SignValidated():
            return replace(row, verdict=recorded(row.verdict, event))
    return row


def _left(row: SignRow, event: of_node.InstanceLeft) -> SignRow:
    if row.node_id != event.node_id:
        return row  # it runs elsewhere now
    return _withheld(row, "instance-left", event.timestamp)


def _withheld(row: SignRow, reason: str, moment: datetime) -> SignRow:
    return replace(row, verdict=withheld(row.verdict, reason, moment))


def _sweep(event: of_node.NodeSwept) -> Callable[[SignRow], SignRow]:
    equal = ranges.parse(event.vouched)
    doubtful = [(one.reason, ranges.parse(one.sign_ids)) for one in event.withheld]

    def change(row: SignRow) -> SignRow:
        if any(row.sign_id in span for span in equal):
            return replace(row, verdict=vouched(row.verdict, event.started_at, event.fresh_until))
        for reason, spans in doubtful:
            if any(row.sign_id in span for span in spans):
                return _withheld(row, reason, event.started_at)
        return row

    return change


def _values(row: SignRow) -> dict[str, object]:
    return {
        "sign_id": row.sign_id,
        "server_id": row.server_id,
        "node_id": row.node_id,
        "instance_name": row.instance_name,
        "ordered": row.ordered,
        "sealed": row.sealed,
        "is_valid": row.verdict.is_valid.value,
        "fresh_until": _stamp(row.verdict.fresh_until),
        "created_at": _stamp(row.created_at),
        "updated_at": None if row.updated_at is None else _stamp(row.updated_at),
        "verdict": msgspec.json.encode(row.verdict).decode(),
        "envelope": row.envelope,
    }


def _row(found: sqlite3.Row) -> SignRow:
    return SignRow(
        sign_id=found["sign_id"],
        server_id=found["server_id"],
        node_id=found["node_id"],
        instance_name=found["instance_name"],
        ordered=found["ordered"],
        created_at=datetime.fromisoformat(found["created_at"]),
        updated_at=None if found["updated_at"] is None else datetime.fromisoformat(found["updated_at"]),
        sealed=found["sealed"],
        verdict=msgspec.json.decode(found["verdict"], type=Verdict),
        envelope=found["envelope"],
    )


def _stamp(moment: datetime) -> str:
    """Return a moment as text of one width, so that texts sort as moments do."""
    return moment.isoformat(timespec="microseconds")
