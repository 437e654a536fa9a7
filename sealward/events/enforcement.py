"""The events of a node's stream about its start gate and its reactions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sealward.events.base import Moment  # noqa: TC001 - the wire form is read off the annotations
from sealward.events.comparison.measurement import Finding  # noqa: TC001 - as above
from sealward.events.node import NodeEvent
from sealward.events.values import (  # noqa: TC001 - rules and wire form are read off the annotations
    Code,
    Generation,
    Id,
    InstanceName,
    Line,
    ServerId,
    Word,
)


class Gate(StrEnum):
    """The state of a node's start gate."""

    ACTIVE = "active"
    """libvirt's hook is in place, and as it was installed."""
    DEGRADED = "degraded"
    """The hook was installed and has been changed or removed: servers may start unchecked."""
    ABSENT = "absent"
    """The hook was never installed."""


class Action(StrEnum):
    """A node's action on a running server in violation."""

    SHUTDOWN = "shutdown"
    """Asked the server to shut down."""
    DESTROY = "destroy"
    """Switched the server off, because it had not shut down in time."""


class Outcome(StrEnum):
    """Whether the action succeeded."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementChanged(NodeEvent):
    """The state of the node's start gate has changed to `enforcement`; `reason` is a stable code."""

    topic: ClassVar[str] = "node.enforcement-changed"

    enforcement: Gate
    reason: Code | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(NodeEvent):
    """A start that the gate objected to, at `decided_at` on the node; `reason` is a stable code.

    `server_id` is None when the server's XML has no readable UUID. `objection_id` is an id that the node
    makes, so an objection that is reported twice is recorded once.
    """

    objection_id: Word
    server_id: ServerId | None
    instance_name: InstanceName
    reason: Code
    findings: tuple[Finding, ...]
    decided_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRefused(Started):
    """The server was kept from starting."""

    topic: ClassVar[str] = "start.refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTolerated(Started):
    """The server started despite the objection, because the policy does not refuse the start."""

    topic: ClassVar[str] = "start.tolerated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionTaken(NodeEvent):
    """A node reacted to a running server in violation, as the policy set at `policy_position` asks.

    `reason` says why the action failed; otherwise it is None. `reaction_id` is an id that the node makes, so
    a reaction that is reported twice is recorded once.
    """

    topic: ClassVar[str] = "reaction.taken"

    reaction_id: Word
    server_id: ServerId
    generation: Generation
    action: Action
    outcome: Outcome
    reason: Line | None
    policy_position: Id | None
    taken_at: Moment
