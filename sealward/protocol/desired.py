"""The answer to a registration: the node's signs, tasks and policy, and the authority's keys."""

from __future__ import annotations

import msgspec

from sealward.events.comparison.binding import AS_SIGNED, Binding
from sealward.events.enforcement import Gate
from sealward.events.policy import AS_NODE, DEFAULT, Policy, ServerPolicy


class Assignment(msgspec.Struct, frozen=True):
    """A sign of the node, as the control plane knows it.

    `ordered` is the generation that was ordered last, `sealed` the generation of the reference in force (0
    before the first seal). `envelope` is the sealed envelope of that reference as JSON text. `is_valid` and
    `reasons` are the last verdict.
    """

    sign_id: int
    server_id: str
    ordered: int
    sealed: int
    is_valid: str
    reasons: tuple[str, ...]
    envelope: str | None
    policy: ServerPolicy = AS_NODE
    policy_position: int | None = None
    binding: Binding = AS_SIGNED
    claimed_by: tuple[int, ...] = ()
    """The ids of the other nodes that claim to run the server."""
    ordered_task: str | None = None
    """The task id of the last order. A measurement that is to be sealed has to name this task."""


class Duty(msgspec.Struct, frozen=True):
    """A task that waits for the node. `action` is validate, activate or deactivate."""

    task_id: str
    action: str
    server_id: str | None


class Software(msgspec.Struct, frozen=True):
    """The software of a node, as the node has reported it."""

    version: str
    profile: str
    hypervisor: str | None = None


class Desired(msgspec.Struct, frozen=True, tag_field="kind", tag="desired"):
    """Everything that a node has to know as of `position` of the log.

    `active` is None while no administrator has switched validation on or off. `authority` is the public key
    (PEM) with which the control plane signs. From now on the node believes messages that this key or a key of
    `beside` has signed. A reference counts when one of these keys, or a key of `earlier`, has countersigned
    the reference. `policy_position` is the position of the event that set the policy.
    """

    node_id: int
    position: int
    active: bool | None
    authority: str
    assignments: tuple[Assignment, ...]
    duties: tuple[Duty, ...]
    firmware: dict[str, str] | None = None
    """The roots of the accepted firmware files by path; None while the node has never reported any."""
    policy: Policy = DEFAULT
    policy_position: int | None = None
    enforcement: Gate = Gate.ABSENT
    enforcement_reason: str | None = None
    recorded: tuple[str, ...] = ()
    """The ids of objections and reactions that the log has: the node need not report them again."""
    answers: str = ""
    """The nonce of the registration that this message answers."""
    beside: tuple[str, ...] = ()
    """Other public keys (PEM) whose messages the node believes: the authority's next or previous key."""
    earlier: tuple[str, ...] = ()
    """Former public keys (PEM) of the authority: their references stay valid, their messages do not."""
    software: Software | msgspec.UnsetType | None = msgspec.UNSET
    """The software that the log has of the node, or None. Control planes before 0.2 leave this unset."""
