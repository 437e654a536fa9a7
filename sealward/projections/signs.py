"""The signs and their verdicts, as GET /v1/sign lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from sealward.events import node as of_node
from sealward.events import sign as of_sign
from sealward.events import typed
from sealward.events.claim import Claim
from sealward.events.comparison.binding import AS_SIGNED, Binding, after
from sealward.events.policy import AS_NODE, ServerPolicy
from sealward.events.verdict import (
    NEVER,
    UNSEALED,
    Verdict,
    at,
    claimed,
    recorded,
    unclaimed,
    vouched,
    withheld,
)
from sealward.events.verdict_reason import VerdictReason
from sealward.events.wire import ranges
from sealward.projections.store.tables import up_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealward.events.base import Event, Recorded
    from sealward.events.is_valid import IsValid
    from sealward.events.store.round_trip import Prefetch
    from sealward.projections.store.backend import Backend
    from sealward.projections.store.tables import Row, Tables


class SignRow(msgspec.Struct, frozen=True):
    """A sign with its last recorded verdict. `verdict_at` says what the verdict is at a moment.

    A msgspec Struct is many times faster to replace than a dataclass, and a sweep replaces a node's rows.
    """

    sign_id: int
    server_id: str
    node_id: int
    instance_name: str
    ordered: int
    """The generation of the last order to seal."""
    created_at: datetime
    updated_at: datetime | None = None
    sealed: int = 0
    """The generation of the reference in force; 0 before the first seal."""
    verdict: Verdict = UNSEALED
    policy: ServerPolicy = AS_NODE
    policy_position: int | None = None
    """The position of the event that set the policy; None for the node's policy."""
    binding: Binding = AS_SIGNED
    leaving_to: str | None = None
    """The hostname of the destination of a migration that the home has announced."""
    ordered_task: str | None = None
    """The task id of the last order to seal."""

    def verdict_at(self, now: datetime) -> Verdict:
        """Return the verdict at `now`: a true verdict becomes unknown when its freshness ends."""
        return at(self.verdict, now)


@dataclass(frozen=True, slots=True)
class Tally:
    """The number of signs with a verdict, and the earliest time at which one of them was checked."""

    signs: int
    oldest: datetime | None


class Signs:
    """The projection of signs: one row for each signed server."""

    name = "signs"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("signs.drop")
        tables.run("signs.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("signs.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        kept = tuple(batch)
        of_signs = (one.event for one in kept if isinstance(one.event, of_sign.SignEvent))
        folded = _Rows(tables, {event.server_id for event in of_signs})
        for one in kept:
            folded.fold(one.event, one.position)
        folded.flush()

    def doubt(self, event: Event, tables: Tables) -> None:
        """Turn the verdict of a sign into unknown, because an event about the sign could not be folded.

        The event may say that the server is no longer as it was signed.
        """
        if isinstance(event, of_sign.SignEvent):
            folded = _Rows(tables, {event.server_id})
            folded.doubt(event.server_id, event.timestamp)
            folded.flush()

    def one(self, tables: Tables, server_id: str) -> SignRow | None:
        """Return the sign of a server."""
        found = tables.one("signs.by-server", {"server_id": server_id})
        return _row(found) if found else None

    def prefetch(self, backend: Backend, server_id: str) -> Prefetch | None:
        """Return the query for the sign of a server, to be sent with another query; None on files."""
        return backend.prefetch("signs.by-server", {"server_id": server_id})

    def found(self, prefetch: Prefetch) -> SignRow | None:
        """Return the sign that the query of `prefetch` has found, or None."""
        return _row(prefetch.row) if prefetch.row else None

    def elsewhere(self, tables: Tables, node_id: int, server_ids: Iterable[str]) -> list[str]:
        """Return the ids of those servers whose signs are on another node."""
        values = {"node_id": node_id, "servers": _list(server_ids)}
        return [found["server_id"] for found in tables.all("signs.elsewhere", values)]

    def unsettled(self, tables: Tables, node_id: int) -> list[str]:
        """Return the servers on a node that other nodes claim, or that are announced as leaving it."""
        return [found["server_id"] for found in tables.all("signs.unsettled", {"node_id": node_id})]

    def claimed(self, tables: Tables) -> int:
        """Return the number of servers that another node than their home claims."""
        found = tables.one("signs.claimed")
        return int(found["signs"]) if found else 0

    def page(  # noqa: PLR0913 - the filters that the API has
        self,
        tables: Tables,
        *,
        now: datetime,
        after: int = 0,
        offset: int = 0,
        limit: int | None = None,
        is_valid: IsValid | None = None,
        node_id: int | None = None,
    ) -> list[SignRow]:
        """Return the signs beyond the id `after`, by ascending id, whole unless `limit` is given."""
        values = {
            "now": _stamp(now),
            "after": after,
            "offset": offset,
            "limit": up_to(limit),
            "is_valid": is_valid,
            "node_id": node_id,
        }
        return [_row(found) for found in tables.all("signs.page", values)]

    def tally(self, tables: Tables, now: datetime) -> dict[str, Tally]:
        """Return the signs counted by the verdict that each has at `now`."""
        found = tables.all("signs.tally", {"now": _stamp(now)})
        return {
            row["verdict"]: Tally(
                row["signs"], None if row["oldest"] is None else datetime.fromisoformat(row["oldest"])
            )
            for row in found
        }


class _Rows:
    """The signs that a batch touches, each read and written once."""

    def __init__(self, tables: Tables, server_ids: Iterable[str]) -> None:
        self._tables = tables
        self._whole_nodes: set[int] = set()
        self._signs: dict[str, SignRow | None] = {}
        self._read(server_ids)

    def fold(self, event: Event, position: int) -> None:
        match event:
            case of_sign.SignCreated():
                self._signs[event.server_id] = _created(event)
            case of_sign.SignRevoked():
                self._signs[event.server_id] = None
            case of_sign.SignPolicySet():
                change = partial(replace, policy=event.policy, policy_position=position)
                self._change(event.server_id, change)
            case of_sign.SignEvent():
                self._change(event.server_id, lambda row: _bound(_after(row, event), event))
            case of_node.InstanceLeft():
                self._read({event.server_id} - self._signs.keys())
                self._change(event.server_id, lambda row: _left(row, event))
            case of_node.NodeLost():
                self._withhold(event.node_id, VerdictReason.NODE_LOST, event.timestamp)
            case of_node.NodeRemoved():
                self._withhold(event.node_id, VerdictReason.NODE_REMOVED, event.timestamp)
            case of_node.NodeDeactivated():
                self._withhold(event.node_id, VerdictReason.NODE_DEACTIVATED, event.timestamp)
            case of_node.NodeSwept():
                self._of_node(event.node_id, _sweep(event))

    def doubt(self, server_id: str, moment: datetime) -> None:
        self._change(server_id, lambda row: _withheld(row, VerdictReason.EVENT_SET_ASIDE, moment))

    def flush(self) -> None:
        gone = [{"server_id": server_id} for server_id in self._signs]
        self._tables.many("signs.delete", gone)
        self._tables.many("signs.put", [_values(row) for row in self._signs.values() if row is not None])

    def _read(self, server_ids: Iterable[str]) -> None:
        for found in self._tables.all("signs.by-servers", {"servers": _list(server_ids)}):
            self._signs[found["server_id"]] = _row(found)

    def _change(self, server_id: str, change: Callable[[SignRow], SignRow]) -> None:
        row = self._signs.get(server_id)
        if row is not None:
            self._signs[server_id] = change(row)

    def _withhold(self, node_id: int, reason: str, moment: datetime) -> None:
        self._of_node(node_id, lambda row: _withheld(row, reason, moment))

    def _of_node(self, node_id: int, change: Callable[[SignRow], SignRow]) -> None:
        if node_id not in self._whole_nodes:
            self._whole_nodes.add(node_id)
            for found in self._tables.all("signs.by-node", {"node_id": node_id}):
                self._signs.setdefault(found["server_id"], _row(found))
        for server_id, row in self._signs.items():
            if row is not None and row.node_id == node_id:
                self._signs[server_id] = change(row)


def _list(server_ids: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(server_ids)).decode()


def _created(event: of_sign.SignCreated) -> SignRow:
    return SignRow(
        event.sign_id,
        event.server_id,
        event.node_id,
        event.instance_name,
        event.generation,
        event.timestamp,
        ordered_task=event.task_id,
    )


def _after(row: SignRow, event: of_sign.SignEvent) -> SignRow:
    match event:
        case of_sign.SignUpdated():
            return replace(
                row, ordered=event.generation, updated_at=event.timestamp, ordered_task=event.task_id
            )
        case of_sign.SignSealed():
            return replace(row, sealed=event.generation)
        case of_sign.SignValidated():
            return replace(row, verdict=recorded(row.verdict, event))
        case of_sign.SignPlaced():
            return _placed(row, event)
    return row


def _bound(row: SignRow, event: of_sign.SignEvent) -> SignRow:
    found = after(row.binding, event)
    return row if found is row.binding else replace(row, binding=found)


def _placed(row: SignRow, event: of_sign.SignPlaced) -> SignRow:
    match event:
        case of_sign.SignMoved():
            return _moved(row, event)
        case of_sign.SignLeaving():
            return row if event.contested else replace(row, leaving_to=event.to_hostname)
        case of_sign.SignStayed():
            return replace(row, leaving_to=None)
        case of_sign.SignClaimed():
            claim = Claim(event.by_node_id, event.by_hostname, event.hostname, event.denied)
            return replace(row, verdict=claimed(row.verdict, claim))
        case of_sign.SignClaimSettled():
            return replace(row, verdict=unclaimed(row.verdict, event.by_node_id))
    return row


def _moved(row: SignRow, event: of_sign.SignMoved) -> SignRow:
    return replace(
        row,
        node_id=event.node_id,
        instance_name=event.instance_name,
        leaving_to=None,
        verdict=unclaimed(row.verdict, event.node_id),
    )


def _left(row: SignRow, event: of_node.InstanceLeft) -> SignRow:
    if row.node_id != event.node_id:
        return row  # it runs elsewhere now
    return _withheld(row, VerdictReason.INSTANCE_LEFT, event.taken_at or event.timestamp)


def _withheld(row: SignRow, reason: str, moment: datetime) -> SignRow:
    return replace(row, verdict=withheld(row.verdict, reason, moment))


def _sweep(event: of_node.NodeSwept) -> Callable[[SignRow], SignRow]:
    equal = ranges.parse(event.vouched)
    doubtful = [(one.reason, ranges.parse(one.sign_ids)) for one in event.withheld]

    def change(row: SignRow) -> SignRow:
        if ranges.holds(equal, row.sign_id):
            return replace(row, verdict=vouched(row.verdict, event.started_at, event.fresh_until))
        for reason, spans in doubtful:
            if ranges.holds(spans, row.sign_id):
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
        "checked_at": None if row.verdict.checked_at == NEVER else _stamp(row.verdict.checked_at),
        "fresh_until": _stamp(row.verdict.fresh_until),
        "created_at": _stamp(row.created_at),
        "updated_at": None if row.updated_at is None else _stamp(row.updated_at),
        "verdict": msgspec.json.encode(row.verdict).decode(),
        "policy": msgspec.json.encode(row.policy).decode(),
        "policy_position": row.policy_position,
        "binding": None if row.binding == AS_SIGNED else msgspec.json.encode(row.binding).decode(),
        "leaving_to": row.leaving_to,
        "claims": len(row.verdict.claims),
        "ordered_task": row.ordered_task,
    }


_VERDICT: Final = typed.decoder(Verdict)
_BINDING: Final = typed.decoder(Binding)
_POLICY: Final = typed.decoder(ServerPolicy)


def _row(found: Row) -> SignRow:
    return SignRow(
        sign_id=found["sign_id"],
        server_id=found["server_id"],
        node_id=found["node_id"],
        instance_name=found["instance_name"],
        ordered=found["ordered"],
        created_at=datetime.fromisoformat(found["created_at"]),
        updated_at=None if found["updated_at"] is None else datetime.fromisoformat(found["updated_at"]),
        sealed=found["sealed"],
        verdict=_VERDICT.decode(found["verdict"]),
        policy=_POLICY.decode(found["policy"]),
        policy_position=found["policy_position"],
        binding=AS_SIGNED if found["binding"] is None else _BINDING.decode(found["binding"]),
        leaving_to=found["leaving_to"],
        ordered_task=found["ordered_task"],
    )


def _stamp(moment: datetime) -> str:
    """Return a moment as text of fixed width, so that texts sort like moments."""
    return moment.isoformat(timespec="microseconds")
