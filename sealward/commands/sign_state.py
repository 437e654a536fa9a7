"""The state of a sign, which the deciders read: the events of one server's stream, folded.

`FOLDS` has one function for each event type that changes the state. A snapshot of a stream stores the state
as JSON, and `SHAPE` names the state's form. A change of a field of `Sign`, or of a field's meaning, changes
`SHAPE`: then snapshots of the old shape are no longer read.
"""

from __future__ import annotations

import functools
from datetime import datetime  # noqa: TC003 - snapshots are read by the annotations
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from sealward.events import sign as facts
from sealward.events.claim import Claim
from sealward.events.comparison.binding import AS_SIGNED, Binding
from sealward.events.comparison.binding import after as binding_after
from sealward.events.comparison.evidence import with_files
from sealward.events.comparison.measurement import Measurement  # noqa: TC001 - as above
from sealward.events.is_valid import IsValid
from sealward.events.policy import AS_NODE, ServerPolicy
from sealward.events.signing import statement as statements
from sealward.events.verdict import NEVER, UNSEALED, Verdict, claimed, recorded, unclaimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sealward.events.base import Event

SHAPE: Final = "sign/12"
"""The name of the shape of `Sign` in snapshots."""
ANSWERED: Final = 16
"""Task ids of a sign that are kept, so that a report which is delivered twice answers its task once."""
CLAIMS_KEPT: Final = 16
"""Openings of claims that a sign keeps."""
GROUNDS_WITHOUT_PROOF: Final = frozenset((facts.Grounds.LEFT, facts.Grounds.POLICY))
"""Grounds of a move for which only the new node has said that the server went there."""


class ClaimOpened(msgspec.Struct, frozen=True):
    """The node `node_id` claimed the server at `at`, by the control plane's clock."""

    node_id: int
    at: datetime


class AnnouncedMigration(msgspec.Struct, frozen=True):
    """A migration that the home has announced, and its destination.

    `announced_at` is by the home's clock, `recorded_at` by the control plane's. `is_contested` says that
    another node than the destination has asked for the server since.
    """

    to_node_id: int
    to_hostname: str
    announced_at: datetime
    recorded_at: datetime
    is_contested: bool = False


class Unconfirmed(msgspec.Struct, frozen=True):
    """The facts that no administrator has confirmed since the sign moved without an administrator's order.

    The rules are in `commands.moves.confirmation`: `was_false` is for rule 1, `is_elsewhere` for the rules 2
    and 3.
    """

    was_false: bool = False
    is_elsewhere: bool = False


CONFIRMED: Final = Unconfirmed()
"""Nothing is left to confirm."""
KEEPING: Final = frozenset((facts.SignCreated, facts.SignSealed, facts.SignValidated))
"""Event types after which a binding that is AS_SIGNED stays AS_SIGNED, and CONFIRMED stays CONFIRMED."""


class Sign(msgspec.Struct, frozen=True):
    """A server under integrity control: the last order, the reference in force, the verdict."""

    sign_id: int
    server_id: str
    node_id: int
    """The home: the node that the sign is on. `hostname` and `instance_name` are of that node."""
    hostname: str
    instance_name: str
    profile: str
    ordered: int
    """The generation of the last order."""
    sealed: int = 0
    """The generation of the reference in force; 0 before the first seal."""
    reference: Measurement | None = None
    """The measurement in force; None before the first seal."""
    verdict: Verdict = UNSEALED
    is_order_in_doubt: bool = False
    """Whether the last order seals only what a libvirt upgrade may have filled in."""
    ordered_task: str | None = None
    """The task of the last order: a measurement is sealed only if it names this task."""
    ordered_request: str | None = None
    """The HTTP request of the last order."""
    binding: Binding = AS_SIGNED
    """The values that host-bound parts may have."""
    host_bound_at: datetime = NEVER
    """When the host-bound parts that are recorded were measured, by the node's clock."""
    jobs: tuple[str, ...] = ()
    """The block jobs that run, as they were recorded last."""
    jobs_at: datetime = NEVER
    """When the block jobs that are recorded were looked at, by the node's clock."""
    answered: tuple[str, ...] = ()
    """The task ids that the last verdicts answered, at most `ANSWERED` of them."""
    policy: ServerPolicy = AS_NODE
    moved_from: int | None = None
    """The home before the last move: reports of that node about this server are late, not hostile."""
    is_unseen: bool = False
    """Whether the home still owes the first verdict since the sign came there. It is always recorded."""
    leaving: AnnouncedMigration | None = None
    """The migration that the home has announced and that has not ended."""
    unconfirmed: Unconfirmed = CONFIRMED
    opened: tuple[ClaimOpened, ...] = ()
    """When nodes have claimed the server: the last `CLAIMS_KEPT` times."""


def fold(sign: Sign | None, events: Iterable[Event]) -> Sign | None:
    """Return the sign after events of its stream; None where the server is not signed."""
    return functools.reduce(evolve, events, sign)


def evolve(sign: Sign | None, event: Event) -> Sign | None:
    """Return the sign after one event of its stream; None where the server is not signed."""
    if isinstance(event, facts.SignRevoked):
        return None
    if isinstance(event, facts.SignCreated):
        found = _created(event)
    elif sign is None:
        return None
    else:
        change = FOLDS.get(type(event))
        found = sign if change is None else change(sign, event)
    if found.binding is AS_SIGNED and found.unconfirmed is CONFIRMED and type(event) in KEEPING:
        return found
    binding = binding_after(found.binding, event)
    unconfirmed = unconfirmed_after(found.unconfirmed, found.verdict, event)
    if binding is found.binding and unconfirmed is found.unconfirmed:
        return found
    return replace(found, binding=binding, unconfirmed=unconfirmed)


def unconfirmed_after(known: Unconfirmed, verdict: Verdict, event: Event) -> Unconfirmed:
    """Return the unconfirmed facts after an event of the sign; `verdict` is the verdict after that event."""
    match event:
        case facts.SignSealed() | facts.SignMoved(grounds=facts.Grounds.ORDERED):
            return CONFIRMED
        case facts.SignMoved():
            was_false = known.was_false or verdict.is_valid is IsValid.FALSE
            return Unconfirmed(was_false, known.is_elsewhere or event.grounds in GROUNDS_WITHOUT_PROOF)
        case facts.SignUpdated():
            return replace(known, is_elsewhere=False)
        case facts.SignValidated(is_valid=IsValid.TRUE):
            return replace(known, was_false=False)  # logs of before rule 1 have such a true
    return known


def _created(event: facts.SignCreated) -> Sign:
    return Sign(
        event.sign_id,
        event.server_id,
        event.node_id,
        event.hostname,
        event.instance_name,
        event.profile,
        event.generation,
        ordered_task=event.task_id,
        ordered_request=event.request_id,
    )


def _updated(sign: Sign, event: facts.SignUpdated) -> Sign:
    return replace(
        sign,
        profile=event.profile,
        ordered=event.generation,
        is_order_in_doubt=bool(event.in_doubt),
        ordered_task=event.task_id,
        ordered_request=event.request_id,
    )


def _sealed(sign: Sign, event: facts.SignSealed) -> Sign:
    statement = statements.of_seal(event.envelope)
    return replace(
        sign,
        sealed=event.generation,
        reference=with_files(statement.measurement, statement.evidence),
        host_bound_at=statement.measured_at,
    )


def _validated(sign: Sign, event: facts.SignValidated) -> Sign:
    known = sign.answered if event.task_id is None else (*sign.answered, event.task_id)
    return replace(sign, verdict=recorded(sign.verdict, event), answered=known[-ANSWERED:], is_unseen=False)


def _host_bound_changed(sign: Sign, event: facts.HostBoundChanged) -> Sign:
    return replace(sign, host_bound_at=event.checked_at)


def _block_jobs_changed(sign: Sign, event: facts.BlockJobsChanged) -> Sign:
    return replace(sign, jobs=event.jobs, jobs_at=event.checked_at)


def _policy_set(sign: Sign, event: facts.SignPolicySet) -> Sign:
    return replace(sign, policy=event.policy)


def _moved(sign: Sign, event: facts.SignMoved) -> Sign:
    """Return the sign on its new home: no migration is announced, and that node claims nothing."""
    return replace(
        sign,
        node_id=event.node_id,
        hostname=event.hostname,
        instance_name=event.instance_name,
        moved_from=event.from_node_id,
        is_unseen=True,
        leaving=None,
        verdict=unclaimed(sign.verdict, event.node_id),
    )


def _leaving(sign: Sign, event: facts.SignLeaving) -> Sign:
    if event.contested and sign.leaving is not None:
        return replace(sign, leaving=replace(sign.leaving, is_contested=True))
    announced = AnnouncedMigration(event.to_node_id, event.to_hostname, event.announced_at, event.timestamp)
    return replace(sign, leaving=announced)


def _stayed(sign: Sign, event: facts.SignStayed) -> Sign:
    del event
    return replace(sign, leaving=None)


def _claimed(sign: Sign, event: facts.SignClaimed) -> Sign:
    claim = Claim(event.by_node_id, event.by_hostname, event.hostname, event.denied)
    opened = sign.opened if event.denied else (*sign.opened, ClaimOpened(event.by_node_id, event.timestamp))
    return replace(sign, verdict=claimed(sign.verdict, claim), opened=opened[-CLAIMS_KEPT:])


def _claim_settled(sign: Sign, event: facts.SignClaimSettled) -> Sign:
    """Return the sign after a claim has ended: the first measurement after the last claim is recorded."""
    verdict = unclaimed(sign.verdict, event.by_node_id)
    return replace(sign, verdict=verdict, is_unseen=sign.is_unseen or not verdict.claims)


FOLDS: Final[Mapping[type[Event], Callable[[Sign, Any], Sign]]] = {
    facts.SignUpdated: _updated,
    facts.SignSealed: _sealed,
    facts.SignValidated: _validated,
    facts.HostBoundChanged: _host_bound_changed,
    facts.BlockJobsChanged: _block_jobs_changed,
    facts.SignPolicySet: _policy_set,
    facts.SignMoved: _moved,
    facts.SignLeaving: _leaving,
    facts.SignStayed: _stayed,
    facts.SignClaimed: _claimed,
    facts.SignClaimSettled: _claim_settled,
}
"""How each event type changes a sign. `SignCreated` begins a sign and `SignRevoked` ends it: see `evolve`."""
UNCHANGING: Final[frozenset[type[Event]]] = frozenset((facts.SignValidationRequested,))
"""Event types of a sign's stream that change nothing of its state."""
