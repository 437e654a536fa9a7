"""The state of a node, which the deciders read: the events of one node's stream, folded.

`FOLDS` has one function for each event type that changes the state. A snapshot of a stream stores the state
as JSON, and `SHAPE` names the state's form. A change of a field of `Node`, or of a field's meaning, changes
`SHAPE`: then snapshots of the old shape are no longer read.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace
from datetime import datetime  # noqa: TC003 - snapshots are read by the annotations
from typing import TYPE_CHECKING, Any, Final, cast

from sealward.commands.clock import is_overtaken
from sealward.events import enforcement
from sealward.events import node as facts
from sealward.events.enforcement import Gate
from sealward.events.firmware import Firmware
from sealward.events.policy import DEFAULT, Policy
from sealward.events.verdict import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sealward.events.base import Event

SHAPE: Final = "node/10"
"""The name of the shape of `Node` in snapshots."""
TASKS: Final = 64
"""Task ids of a node that are kept, so that an order which is delivered twice is carried out once."""
RECORDED: Final = 256
"""Ids of objections and reactions that are kept, so that each is recorded once."""
SPENT: Final = 1000
"""Invitations of one hostname that are kept after they were used or revoked."""
INVENTORIES: Final = 16
"""Inventories whose instance names are cached by `names`, each of one node at one moment."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation: until `expires_at`, a registration counts that this key (PEM) has signed as well."""

    public_key: str
    expires_at: datetime
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Software:
    """The version of a node's agent, the profile by which it measures, and its libvirt, if known."""

    version: str
    profile: str
    hypervisor: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """A host with an agent, a host that is invited to become a node, or a removed node."""

    node_id: int
    hostname: str
    public_key: str
    """The node's key (PEM); empty while the host is only invited."""
    active: bool | None = None
    """Whether validation is switched on; None until an administrator switches it on or off."""
    lost: bool = False
    """Whether the node was silent for longer than its lease and has not been heard since."""
    instances: frozenset[tuple[str, str]] = frozenset()
    """(server_id, instance_name) of every server on the node."""
    running: frozenset[str] = frozenset()
    """The ids of the servers that run on the node, as far as the node says."""
    leaving: frozenset[str] = frozenset()
    """The ids of the servers that libvirt migrates out, or of which only a definition was left behind."""
    switched: tuple[str, ...] = ()
    """The task ids of the last orders to activate or deactivate, at most `TASKS` of them."""
    firmware: Firmware | None = None
    """None until the node has reported firmware files."""
    answered: tuple[str, ...] = ()
    """The task ids that the last sweeps answered, at most `TASKS` of them."""
    swept_at: datetime = NEVER
    """When the last sweep began, by the node's clock."""
    swept_before: datetime = NEVER
    """When the second to last sweep began, by the node's clock."""
    policy: Policy = DEFAULT
    enforcement: Gate = Gate.ABSENT
    enforcement_reason: str | None = None
    removed: bool = False
    """Whether the host is no node: it was removed, or is invited and has not registered yet."""
    invitation: Invitation | None = None
    """The invitation by which the host was let in, or may be."""
    spent: tuple[str, ...] = ()
    """The keys (PEM) of the last `SPENT` invitations that were used or revoked: they let nobody in."""
    recorded: tuple[str, ...] = ()
    """The ids of the last `RECORDED` objections and reactions."""
    software: Software | None = None
    """None until the node has reported its software."""


def fold(node: Node | None, events: Iterable[Event]) -> Node | None:
    """Return the node after events of its stream.

    Adjacent events of an inventory are folded in one step: an inventory of 60,000 servers took minutes when
    each of its events copied the node's set of servers.
    """
    for is_inventory, some in itertools.groupby(events, _is_inventory):
        if is_inventory and node is not None:
            node = _with_inventory(node, cast("Iterable[facts.InstanceLeft]", some))
        else:
            node = functools.reduce(evolve, some, node)
    return node


def evolve(node: Node | None, event: Event) -> Node | None:
    """Return the node after one event of its stream."""
    match event:
        case facts.NodeRegistered():
            return _registered(node, event)
        case facts.NodeInvited():
            invitation = Invitation(event.invitation, event.expires_at)
            return replace(_host(node, event), invitation=invitation)
        case facts.NodeUninvited() if node is None or node.invitation is None:
            return _host(node, event)
    change = FOLDS.get(type(event))
    return node if node is None or change is None else change(node, event)


def spend(node: Node) -> Node:
    """Return a host whose invitation, if it has an invitation, lets nobody in any more."""
    if node.invitation is None or node.invitation.public_key in node.spent:
        return node
    return replace(node, spent=(*node.spent, node.invitation.public_key)[-SPENT:])


@functools.lru_cache(maxsize=INVENTORIES)
def names(instances: frozenset[tuple[str, str]]) -> Mapping[str, str]:
    """Return the instance name of each server by the server's id."""
    return dict(instances)


def _host(node: Node | None, event: facts.NodeInvited | facts.NodeUninvited) -> Node:
    """Return a host that is no node; its spent invitations stay in the state."""
    spent = () if node is None else node.spent
    return Node(event.node_id, event.hostname, "", removed=True, spent=spent)


def _registered(node: Node | None, event: facts.NodeRegistered) -> Node:
    """Return a new node: of a removed node of that hostname, only the invitations are kept."""
    if node is None:
        return Node(event.node_id, event.hostname, event.public_key)
    return Node(event.node_id, event.hostname, event.public_key, invitation=node.invitation, spent=node.spent)


def _uninvited(node: Node, event: facts.NodeUninvited) -> Node:
    del event
    revoked = None if node.invitation is None else replace(node.invitation, revoked=True)
    return replace(spend(node), invitation=revoked)


def _key_replaced(node: Node, event: facts.NodeKeyReplaced) -> Node:
    return replace(node, public_key=event.public_key)


def _removed(node: Node, event: facts.NodeRemoved) -> Node:
    del event
    nothing: frozenset[str] = frozenset()
    left = replace(spend(node), invitation=None, removed=True)
    return replace(left, instances=frozenset(), running=nothing, leaving=nothing)


def _switched(node: Node, event: facts.NodeActivated | facts.NodeDeactivated) -> Node:
    known = node.switched if event.task_id is None else (*node.switched, event.task_id)
    return replace(node, active=isinstance(event, facts.NodeActivated), switched=known[-TASKS:])


def _policy_set(node: Node, event: facts.NodePolicySet) -> Node:
    return replace(node, policy=event.policy)


def _lost(node: Node, event: facts.NodeLost | facts.NodeReturned) -> Node:
    return replace(node, lost=isinstance(event, facts.NodeLost))


def _swept(node: Node, event: facts.NodeSwept) -> Node:
    known = node.answered if event.task_id is None else (*node.answered, event.task_id)
    node = replace(node, answered=known[-TASKS:])
    if is_overtaken(event.started_at, node.swept_at):
        return node
    return replace(node, swept_at=event.started_at, swept_before=node.swept_at)


def _firmware_accepted(node: Node, event: facts.NodeFirmwareAccepted) -> Node:
    return replace(node, firmware=Firmware(event.files, event.files))


def _firmware_changed(node: Node, event: facts.NodeFirmwareChanged) -> Node:
    return replace(node, firmware=replace(node.firmware or Firmware(), found=event.files))


def _enforced(node: Node, event: enforcement.EnforcementChanged) -> Node:
    return replace(node, enforcement=event.enforcement, enforcement_reason=event.reason)


def _software_changed(node: Node, event: facts.NodeSoftwareChanged) -> Node:
    return replace(node, software=Software(event.release, event.profile, event.hypervisor))


def _objected(node: Node, event: enforcement.Started) -> Node:
    return _recording(node, event.objection_id)


def _reacted(node: Node, event: enforcement.ReactionTaken) -> Node:
    return _recording(node, event.reaction_id)


def _recording(node: Node, new: str) -> Node:
    return replace(node, recorded=(*node.recorded, new)[-RECORDED:])


def _instance(node: Node, event: facts.InstanceAppeared | facts.InstanceLeft) -> Node:
    return _with_inventory(node, (event,))


def _is_inventory(event: Event) -> bool:
    return isinstance(event, facts.InstanceAppeared | facts.InstanceLeft)


def _with_inventory(node: Node, events: Iterable[facts.InstanceAppeared | facts.InstanceLeft]) -> Node:
    """Return the node after events about its servers, in one pass over the events."""
    instances, running, leaving = set(node.instances), set(node.running), set(node.leaving)
    for event in events:
        server_id = event.server_id
        if isinstance(event, facts.InstanceLeft):
            instances.discard((server_id, event.instance_name))
            running.discard(server_id)
            leaving.discard(server_id)
            continue
        instances.add((server_id, event.instance_name))
        if event.running is not None:
            (running.add if event.running else running.discard)(server_id)
        (leaving.add if event.leaving else leaving.discard)(server_id)
    return replace(
        node, instances=frozenset(instances), running=frozenset(running), leaving=frozenset(leaving)
    )


FOLDS: Final[Mapping[type[Event], Callable[[Node, Any], Node]]] = {
    facts.NodeUninvited: _uninvited,
    facts.NodeKeyReplaced: _key_replaced,
    facts.NodeRemoved: _removed,
    facts.NodeActivated: _switched,
    facts.NodeDeactivated: _switched,
    facts.NodePolicySet: _policy_set,
    facts.NodeLost: _lost,
    facts.NodeReturned: _lost,
    facts.NodeSwept: _swept,
    facts.NodeFirmwareAccepted: _firmware_accepted,
    facts.NodeFirmwareChanged: _firmware_changed,
    facts.NodeSoftwareChanged: _software_changed,
    facts.InstanceAppeared: _instance,
    facts.InstanceLeft: _instance,
    enforcement.EnforcementChanged: _enforced,
    enforcement.StartRefused: _objected,
    enforcement.StartTolerated: _objected,
    enforcement.ReactionTaken: _reacted,
}
"""How each event type changes a node. `NodeRegistered` and `NodeInvited` begin a node: see `evolve`."""
UNCHANGING: Final[frozenset[type[Event]]] = frozenset((facts.NodeReportRefused,))
"""Event types of a node's stream that change nothing of its state."""
