"""What may be done with a node, and which facts follow: pure functions over one node's stream."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from datetime import datetime  # noqa: TC003 - snapshots are read by the annotations
from typing import TYPE_CHECKING, Any, Final, cast

from sealward.commands import firmware as firmwares
from sealward.commands import inventory, invitation, membership
from sealward.commands.clock import is_future, is_overtaken, refuse_future
from sealward.commands.enforcement import remembered
from sealward.commands.errors import NotRegistered, SweepMalformed
from sealward.commands.fact import about_node, asked_by
from sealward.commands.invitation import Invitation  # noqa: TC001 - snapshots are read by the annotations
from sealward.commands.membership import member
from sealward.events import node as facts
from sealward.events import ranges
from sealward.events.enforcement import EnforcementChanged, Gate, ReactionTaken, Started
from sealward.events.firmware import Firmware  # noqa: TC001 - snapshots are read by the annotations
from sealward.events.policy import DEFAULT, Policy
from sealward.events.verdict import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.commands.messages import (
        AcceptFirmware,
        ActivateNode,
        Command,
        DeactivateNode,
        LoseNode,
        RecordFirmware,
        RecordInventory,
        RecordSweep,
        RefuseReport,
        RegisterNode,
        SetNodePolicy,
    )
    from sealward.events.base import Event


REMEMBERED: Final = 64
"""Orders of a node that are known again when they are delivered a second time."""


@dataclass(frozen=True, slots=True)
class Node:
    """A host with an agent. `active` is None until somebody switches validation on or off."""

    node_id: int
    hostname: str
    public_key: str
    active: bool | None = None
    lost: bool = False
    instances: frozenset[tuple[str, str]] = frozenset()
    """(server_id, instance_name) of every server on it."""
    running: frozenset[str] = frozenset()
    """Which servers run on it, as far as it says."""
    leaving: frozenset[str] = frozenset()
    """Which servers libvirt migrates out, or has migrated out so that only a definition is left."""
    switched: tuple[str, ...] = ()
    """The task ids of the last orders: one that comes again is not a new one."""
    firmware: Firmware | None = None
    """None until the node has reported any."""
    answered: tuple[str, ...] = ()
    """The task ids that the last sweeps answered."""
    swept_at: datetime = NEVER
    """When the last sweep began, by the node's clock, and the one before it."""
    swept_before: datetime = NEVER
    policy: Policy = DEFAULT
    enforcement: Gate = Gate.ABSENT
    enforcement_reason: str | None = None
    removed: bool = False
    """Whether it is none any more, or none yet."""
    invitation: Invitation | None = None
    """The invitation that it was let in by, or may be."""
    spent: tuple[str, ...] = ()
    """The keys (PEM) of the last invitations that were used or revoked: they let nobody in any more."""
    recorded: tuple[str, ...] = ()
    """The ids of the last objections and reactions, for the same reason."""


def register_node(node: Node | None, command: RegisterNode, *, node_id: int, now: datetime) -> list[Event]:
    """Take in a host that is invited, or may come at first sight; or hear a known node again.

    Raises NotInvited, InvitationExpired, InvitationRevoked, InvitationUsed, HostnameTaken, NodeWasRemoved.
    """
    if node is None or node.removed:
        invitation.refuse_uninvited(node, command, now)
        registered = facts.NodeRegistered(
            timestamp=now,
            **asked_by(command),
            node_id=node_id if node is None else node.node_id,
            hostname=command.hostname,
            public_key=command.public_key,
        )
        return [registered]
    invitation.refuse_another(node, command)
    return [about_node(facts.NodeReturned, node, command, now)] if node.lost else []


def activate_node(node: Node | None, command: ActivateNode, *, now: datetime) -> list[Event]:
    """Switch validation on. Each order is a task of its own; the same task is carried out once."""
    return _switch(facts.NodeActivated, member(node), command, now)


def deactivate_node(node: Node | None, command: DeactivateNode, *, now: datetime) -> list[Event]:
    """Switch validation off. Each order is a task of its own; the same task is carried out once."""
    return _switch(facts.NodeDeactivated, member(node), command, now)


def set_policy(node: Node | None, command: SetNodePolicy, *, now: datetime) -> list[Event]:
    """Say what the node does about servers not as signed; what changes nothing is no fact."""
    node = member(node)
    if command.policy == node.policy:
        return []
    return [about_node(facts.NodePolicySet, node, command, now, policy=command.policy)]


def lose_node(node: Node | None, command: LoseNode, *, now: datetime) -> list[Event]:
    """Record once that the node has been silent for longer than its lease."""
    node = member(node)
    return [] if node.lost else [about_node(facts.NodeLost, node, command, now)]


def record_inventory(node: Node | None, command: RecordInventory, *, now: datetime) -> list[Event]:
    """Record which servers came and went, began and ceased to run, since the node last said which it has.

    What is older than the sweep before the last one came too late: the node has said more since. What a clock
    that is ahead dates is as of now.
    """
    node = member(node)
    taken_at = now if is_future(command.taken_at, now) else command.taken_at
    if taken_at != node.swept_before and is_overtaken(taken_at, node.swept_before):
        return []
    meta: dict[str, Any] = {
        "timestamp": now,
        "actor": command.actor,
        "node_id": node.node_id,
        "hostname": node.hostname,
    }
    found = frozenset(command.instances)
    left = sorted(node.instances - found)
    appeared = sorted(one for one in found if one not in node.instances or _turned(node, command, one[0]))
    return [
        *(
            facts.InstanceLeft(**meta, server_id=one, instance_name=name, taken_at=taken_at)
            for one, name in left
        ),
        *(
            facts.InstanceAppeared(
                **meta,
                server_id=one,
                instance_name=name,
                running=_runs(command, one),
                leaving=True if one in command.leaving else None,
            )
            for one, name in appeared
        ),
    ]


def record_sweep(
    node: Node | None, command: RecordSweep, *, now: datetime, fresh_until: datetime
) -> list[Event]:
    """Record what a sweep found; one that is not newer than the last says nothing, but answers its task.

    A sweep from the future is refused: it would outlive its time.
    Raises NotRegistered, FromTheFuture, SweepMalformed.
    """
    node = member(node)
    refuse_future(command.started_at, now)
    _readable(command)
    is_answer = command.task_id is not None and command.task_id not in node.answered
    if is_overtaken(command.started_at, node.swept_at) and not is_answer:
        return []
    swept = about_node(
        facts.NodeSwept,
        node,
        command,
        now,
        cause=command.cause,
        started_at=command.started_at,
        fresh_until=fresh_until,
        vouched=command.vouched,
        withheld=command.withheld,
        counts=command.counts,
        digest=command.digest,
    )
    return [swept]


def record_firmware(node: Node | None, command: RecordFirmware, *, now: datetime) -> list[Event]:
    """Record which firmware files a node has, where that is news."""
    return firmwares.record(member(node), command, now=now)


def accept_firmware(node: Node | None, command: AcceptFirmware, *, now: datetime) -> list[Event]:
    """Accept the firmware files that a node found. Raises FirmwareUnknown, FirmwareIsAnother."""
    return firmwares.accept(member(node), command, now=now)


def refuse_report(node: Node | None, command: RefuseReport, *, now: datetime) -> list[Event]:
    """Record that something was said in the node's name that it may not say, or did not say.

    Also of one that was removed: somebody still has its key.
    """
    if node is None:
        raise NotRegistered
    refused = facts.NodeReportRefused(
        timestamp=now,
        actor=command.actor,
        node_id=node.node_id,
        hostname=node.hostname,
        reason=command.reason,
        server_id=command.server_id,
    )
    return [refused]


def evolve(node: Node | None, event: Event) -> Node | None:  # noqa: C901, PLR0911 - one return a fact
    """Return the node after a fact of its stream."""
    match event:
        case facts.NodeRegistered():
            before = node or Node(event.node_id, event.hostname, "")
            return Node(
                event.node_id,
                event.hostname,
                event.public_key,
                invitation=before.invitation,
                spent=before.spent,
            )
        case facts.NodeInvited() | facts.NodeUninvited():
            spent = () if node is None else node.spent
            host = Node(event.node_id, event.hostname, "", removed=True, spent=spent)
            return invitation.invited(node, event, host)
        case facts.NodeKeyReplaced() | facts.NodeRemoved() if node is not None:
            return membership.evolve(node, event)
        case facts.NodeActivated() | facts.NodeDeactivated() if node is not None:
            return _switched(node, event, active=isinstance(event, facts.NodeActivated))
        case facts.NodePolicySet() if node is not None:
            return replace(node, policy=event.policy)
        case EnforcementChanged() | Started() | ReactionTaken() if node is not None:
            return _enforced(node, event)
        case facts.NodeLost() | facts.NodeReturned() if node is not None:
            return replace(node, lost=isinstance(event, facts.NodeLost))
        case facts.NodeFirmwareAccepted() | facts.NodeFirmwareChanged() if node is not None:
            return firmwares.evolve(node, event)
        case facts.NodeSwept() if node is not None:
            return _swept(node, event)
        case facts.InstanceAppeared() | facts.InstanceLeft() if node is not None:
            return inventory.fold(node, (event,))
    return node


def fold(node: Node | None, events: Iterable[Event]) -> Node | None:
    """Return the node after facts of its stream; those of one inventory count as one step."""
    for is_inventory, some in itertools.groupby(events, _is_inventory):
        if is_inventory and node is not None:
            node = inventory.fold(node, cast("Iterable[facts.InstanceLeft]", some))
        else:
            node = functools.reduce(evolve, some, node)
    return node


def _is_inventory(event: Event) -> bool:
    return isinstance(event, facts.InstanceAppeared | facts.InstanceLeft)


def _enforced(node: Node, event: EnforcementChanged | Started | ReactionTaken) -> Node:
    match event:
        case EnforcementChanged():
            return replace(node, enforcement=event.enforcement, enforcement_reason=event.reason)
        case Started():
            return replace(node, recorded=remembered(node.recorded, event.objection_id))
        case ReactionTaken():
            return replace(node, recorded=remembered(node.recorded, event.reaction_id))


def _runs(command: RecordInventory, server_id: str) -> bool | None:
    return None if command.running is None else server_id in command.running


def _turned(node: Node, command: RecordInventory, server_id: str) -> bool:
    """Say whether a server began or ceased to run, or to leave."""
    turned = _runs(command, server_id) not in (None, server_id in node.running)
    return turned or (server_id in command.leaving) != (server_id in node.leaving)


def _switch(kind: type[facts.NodeEvent], node: Node, command: Command, now: datetime) -> list[Event]:
    if command.task_id is not None and command.task_id in node.switched:
        return []
    return [about_node(kind, node, command, now)]


def _switched(node: Node, event: Event, *, active: bool) -> Node:
    known = node.switched if event.task_id is None else (*node.switched, event.task_id)
    return replace(node, active=active, switched=known[-REMEMBERED:])


def _swept(node: Node, event: facts.NodeSwept) -> Node:
    known = node.answered if event.task_id is None else (*node.answered, event.task_id)
    node = replace(node, answered=known[-REMEMBERED:])
    if is_overtaken(event.started_at, node.swept_at):
        return node
    return replace(node, swept_at=event.started_at, swept_before=node.swept_at)


def _readable(command: RecordSweep) -> None:
    try:
        for text in (command.vouched, *(one.sign_ids for one in command.withheld)):
            ranges.parse(text)
    except ranges.RangesRefused as refused:
        raise SweepMalformed(str(refused)) from refused
