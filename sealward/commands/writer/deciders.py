"""The decider of each command, and the values that each decider gets beside the state.

Deciders are pure functions: the time, new ids and the authority's signature are arguments. `DECIDERS` has an
entry for each command type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sealward.commands import (
    enforcement,
    firmware,
    inventory,
    invitation,
    membership,
    node,
    sign,
)
from sealward.commands import messages as ask
from sealward.commands.moves import claim, leaving, location

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sealward.commands.node_state import Node
    from sealward.commands.sign_state import Sign
    from sealward.events.base import Event
    from sealward.events.signing.envelope import Envelope
    from sealward.events.store.store import NextId


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The values that a decision needs beside the state and the command.

    `now` is the control plane's time. `fresh_for` is how long a true verdict lives. `next_id` gives a new id
    of a sign or a node. `countersign` gives the envelope of a measurement with the authority's signature.
    """

    now: datetime
    fresh_for: timedelta
    next_id: NextId
    countersign: Callable[[ask.RecordMeasurement], Envelope]


State_contra = TypeVar("State_contra", contravariant=True)
Asked_contra = TypeVar("Asked_contra", bound=ask.Command, contravariant=True)
Decider = Callable[[Any, Any, Surroundings], list["Event"]]


def decide(state: Any, command: ask.Command, around: Surroundings) -> list[Event]:  # noqa: ANN401 - of any stream
    """Return the events that follow from a command. Raises Rejected."""
    decider = DECIDERS.get(type(command))
    if decider is None:
        raise TypeError(command)
    return decider(state, command, around)


class _NeedsTheTime(Protocol[State_contra, Asked_contra]):
    """A decider that needs the time alone."""

    def __call__(self, state: State_contra | None, command: Asked_contra, /, *, now: datetime) -> list[Event]:
        """Return the events that follow from the command."""


def _at_once(decider: _NeedsTheTime[State_contra, Asked_contra]) -> Decider:
    """Return the decider of a command that needs nothing but the time beside the state."""
    return lambda state, command, around: decider(state, command, now=around.now)


def _create_sign(state: Sign | None, command: ask.CreateSign, around: Surroundings) -> list[Event]:
    sign_id = around.next_id("sign") if state is None else 0
    return sign.create_sign(state, command, sign_id=sign_id, now=around.now)


def _record_measurement(
    state: Sign | None, command: ask.RecordMeasurement, around: Surroundings
) -> list[Event]:
    return sign.record_measurement(
        state,
        command,
        countersign=lambda: around.countersign(command),
        now=around.now,
        fresh_until=command.statement.measured_at + around.fresh_for,
    )


def _register_node(state: Node | None, command: ask.RegisterNode, around: Surroundings) -> list[Event]:
    is_new = state is None and not command.only_invited
    node_id = around.next_id("node") if is_new else 0
    return node.register_node(state, command, node_id=node_id, now=around.now)


def _admit_node(state: Node | None, command: ask.AdmitNode, around: Surroundings) -> list[Event]:
    return membership.admit_node(state, command, node_id=_id_of_new_node(state, around), now=around.now)


def _invite(state: Node | None, command: ask.InviteNode, around: Surroundings) -> list[Event]:
    return invitation.invite(state, command, node_id=_id_of_new_node(state, around), now=around.now)


def _id_of_new_node(state: Node | None, around: Surroundings) -> int:
    return around.next_id("node") if state is None or state.removed else 0


def _record_sweep(state: Node | None, command: ask.RecordSweep, around: Surroundings) -> list[Event]:
    fresh_until = command.report.started_at + around.fresh_for
    return node.record_sweep(state, command, now=around.now, fresh_until=fresh_until)


DECIDERS: Final[Mapping[type[ask.Command], Decider]] = {
    ask.CreateSign: _create_sign,
    ask.UpdateSign: _at_once(sign.update_sign),
    ask.RequestValidation: _at_once(sign.request_validation),
    ask.RevokeSign: _at_once(sign.revoke_sign),
    ask.SetServerPolicy: _at_once(sign.set_policy),
    ask.RecordMeasurement: _record_measurement,
    ask.RecordFailure: _at_once(sign.record_failure),
    ask.MoveSign: _at_once(location.move_sign),
    ask.AnnounceLeaving: _at_once(leaving.announce_leaving),
    ask.ContestLeaving: _at_once(leaving.contest_leaving),
    ask.EndLeaving: _at_once(leaving.end_leaving),
    ask.ClaimSign: _at_once(claim.claim_sign),
    ask.SettleClaim: _at_once(claim.settle_claim),
    ask.RegisterNode: _register_node,
    ask.AdmitNode: _admit_node,
    ask.InviteNode: _invite,
    ask.UninviteNode: _at_once(invitation.uninvite),
    ask.RemoveNode: _at_once(membership.remove_node),
    ask.ReplaceKey: _at_once(membership.replace_key),
    ask.ActivateNode: _at_once(node.activate_node),
    ask.DeactivateNode: _at_once(node.deactivate_node),
    ask.SetNodePolicy: _at_once(node.set_policy),
    ask.LoseNode: _at_once(node.lose_node),
    ask.RefuseReport: _at_once(node.refuse_report),
    ask.RecordSweep: _record_sweep,
    ask.RecordInventory: _at_once(inventory.record_inventory),
    ask.RecordFirmware: _at_once(firmware.record_firmware),
    ask.AcceptFirmware: _at_once(firmware.accept_firmware),
    ask.RecordEnforcement: _at_once(enforcement.record_enforcement),
    ask.RecordSoftware: _at_once(node.record_software),
    ask.RecordObjection: _at_once(enforcement.record_objection),
    ask.RecordReaction: _at_once(enforcement.record_reaction),
}
"""The decider of each command type."""
