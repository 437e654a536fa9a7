"""Reads from the projections the facts that nodes have to know of signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.events.policy import DEFAULT
from sealward.events.store import store as stores
from sealward.protocol.desired import Assignment, Desired, Duty, Software

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sealward.commands.node_state import Node
    from sealward.events.store.store import EventStore
    from sealward.projections.signs import SignRow
    from sealward.projections.store.database import Projections

GATE_WAITS: Final = 0.5
"""Seconds that an answer to a start gate may wait for the projections: the gate waits little longer."""


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """The authority's public keys (PEM): the key in use, and the other keys that `Desired` names."""

    present: str
    beside: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


class Assignments:
    """Queries for the answers to registrations and to start gates."""

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

    def sign_of(self, server_id: str) -> Assignment | None:
        """Return the sign of a server as of this call or later; None where the server is not signed.

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
        """Return everything that a node has to know, as of this call or later.

        Raises StoreUnavailable when the projections stay behind: the node would miss events in between.
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
            software=_software(node),
        )


def _software(node: Node) -> Software | None:
    known = node.software
    return None if known is None else Software(known.version, known.profile, known.hypervisor)


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
