"""What nodes have to know of signs, read from the projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.policy import DEFAULT
from sealward.events.store import store as stores
from sealward.protocol.desired import Assignment, Desired, Duty

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.events.store.store import EventStore
    from sealward.projections.database import Projections
    from sealward.projections.signs import SignRow

GATE_WAITS: Final = 0.5
"""Seconds for which an answer to a start gate may wait for the projections: the gate waits little longer."""


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """The authority's public keys (PEM): the one in use, and the others that `reports.Desired` names."""

    present: str
    beside: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


class Assignments:
    """What a node has to know when it registers, and which signs others have, read from the projections."""

    def __init__(
        self,
        store: EventStore,
        projections: Projections,
        authority: AuthorityKeys,
        wait: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._projections = projections
        self._authority = authority
        self._wait = wait
        self._clock = clock

    def elsewhere(self, node_id: int, server_ids: Sequence[str]) -> Sequence[str]:
        """Return those servers that are signed as being on another node, as far as the rows know."""
        with self._projections.reading() as tables:
            return self._projections.signs.elsewhere(tables, node_id, server_ids)

    def also_at(self, node_id: int, server_id: str) -> Sequence[str]:
        """Return the hostnames of other nodes that have a server, as far as the rows know.

        A node that runs it comes first.
        """
        with self._projections.reading() as tables:
            rows = self._projections.servers.elsewhere(tables, node_id, server_id)
        return [row.hostname for row in rows]

    def unsettled(self, node_id: int) -> Sequence[str]:
        """Return the servers of a home that are claimed or announced as leaving, as far as the rows know."""
        with self._projections.reading() as tables:
            return self._projections.signs.unsettled(tables, node_id)

    def sign_of(self, server_id: str) -> Assignment | None:
        """Return what is in force for a server, not older than this call; None where it is not signed.

        Raises StoreUnavailable when the projections stay behind for longer than a start gate waits.
        """
        projections = self._projections
        if not projections.wait_for(self._store.head(), min(self._wait, GATE_WAITS)):
            raise stores.StoreUnavailable("the projections are behind the log")
        with projections.snapshot() as tables:
            row = projections.signs.one(tables, server_id)
            envelope = projections.envelopes.one(tables, server_id)
        return None if row is None else _assignment(row, envelope)

    def of(self, node: Node) -> Desired:
        """Return all that a node has to know, not older than this call.

        Raises StoreUnavailable when the projections stay behind: what happened meanwhile would be missed.
        """
        projections = self._projections
        if not projections.wait_for(self._store.head(), self._wait):
            raise stores.StoreUnavailable("the projections are behind the log")
        with projections.snapshot() as tables:
            position = projections.position(tables)
            signs = projections.signs.page(tables, now=self._clock(), node_id=node.node_id)
            envelopes = projections.envelopes.of_node(tables, node.node_id)
            tasks = projections.tasks.waiting(tables, node.node_id)
            known = projections.nodes.one(tables, node.node_id)
        assignments = tuple(_assignment(row, envelopes.get(row.server_id)) for row in signs)
        duties = tuple(Duty(row.task_id, row.action, row.server_id) for row in tasks)
        accepted = None if node.firmware is None else dict(node.firmware.accepted)
        return Desired(
            node.node_id,
            position,
            node.active,
            self._authority.present,
            assignments,
            duties,
            accepted,
            policy=DEFAULT if known is None else known.policy,
            policy_position=None if known is None else known.policy_position,
            enforcement=node.enforcement,
            enforcement_reason=node.enforcement_reason,
            recorded=node.recorded,
            beside=self._authority.beside,
            earlier=self._authority.earlier,
        )


def _assignment(row: SignRow, envelope: str | None) -> Assignment:
    return Assignment(
        row.sign_id,
        row.server_id,
        row.ordered,
        row.sealed,
        row.verdict.is_valid.value,
        row.verdict.reasons,
        envelope,
        row.policy,
        row.policy_position,
        row.binding,
        tuple(one.node_id for one in row.verdict.claims),
        row.ordered_task,
    )
