"""The condition of the control plane: lags, silent nodes, and counts of servers, tasks and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealward.control.notary import tree_status
from sealward.events.set_aside import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sealward.control.checkpoints import Checkpoints
    from sealward.control.leases import Leases
    from sealward.control.notary import TreeStatus
    from sealward.control.set_aside import SetAside
    from sealward.control.unproven import Count, Unproven
    from sealward.events.set_aside import Aside
    from sealward.events.store.store import EventStore
    from sealward.projections.nodes import NodeRow
    from sealward.projections.signs import Tally
    from sealward.projections.store.database import Projections
    from sealward.projections.task_state import TaskState

PATIENCE: Final = 5.0
"""Seconds that an event may wait for projections or relay; a longer wait is a problem."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the projections or the relay are behind the log.

    They have processed the log up to `position`. `events` follow, and the first of these is `seconds` old.
    """

    position: int
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The condition of a node. `seen` and `swept` are seconds since then; None means never."""

    hostname: str
    active: bool
    silent: bool
    quiet: bool
    """Whether three heartbeats of the node were missed. A silent node is quiet, too."""
    seen: float | None
    swept: float | None
    sweep_seconds: float | None
    """How long its last sweep took."""
    version: str | None = None
    """The version of its agent; None for an agent of before 0.2, and before the agent has come."""
    expected: bool = False
    """Whether the node was let in and its agent has not come yet: such a node is not silent."""


@dataclass(frozen=True, slots=True)
class Status:
    """The condition of the control plane at one moment.

    `relay` is None when the bus is `memory://`, which has no relay that could lag.
    """

    head: int
    projections: Lag
    relay: Lag | None
    nodes: tuple[NodeStatus, ...]
    verdicts: Mapping[str, Tally]
    oldest: Mapping[str, float]
    """By verdict: seconds since the last check of the server that was checked longest ago."""
    claimed: int
    """The number of servers that another node than their home claims."""
    tasks: Mapping[TaskState, int]
    events: Mapping[str, int]
    unproven: Sequence[Count]
    """Counts of messages to the intake whose sender is not proven."""
    set_aside: Sequence[Aside]
    """Events that a part of the control plane could not take."""
    tree: TreeStatus
    """The tree over the log, beside the last checkpoint."""

    @property
    def problems(self) -> list[str]:
        """Return the stable codes of the problems."""
        found = {
            "projections.lagging": self.projections.seconds > PATIENCE,
            "relay.stuck": self.relay is not None and self.relay.seconds > PATIENCE,
            "events.set-aside": bool(self.set_aside),
            "node.silent": any(node.silent for node in self.nodes),
        }
        codes = [code for code, is_so in found.items() if is_so]
        return codes if self.tree.problem is None else [*codes, self.tree.problem]


@dataclass(frozen=True, slots=True)
class Monitor:
    """Reads the condition from the store, the projections, the leases and the position of the relay.

    A node is `quiet` when three of its heartbeats were missed, and silent when its `lease` has run out.
    """

    store: EventStore
    projections: Projections
    leases: Leases
    relay: Callable[[], int] | None
    lease: timedelta
    quiet: timedelta
    clock: Callable[[], datetime]
    unproven: Unproven
    set_aside: SetAside
    checkpoints: Checkpoints

    def log(self) -> TreeStatus:
        """Compare the tree over the log with the last checkpoint. Raises StoreUnavailable."""
        last = self.checkpoints.last()
        with self.projections.snapshot() as tables:
            return tree_status(self.store, self.projections, tables, last)

    def status(self) -> Status:
        """Return the condition now. Raises StoreUnavailable."""
        now, seen = self.clock(), self.leases.seen()
        with self.projections.reading() as tables:
            nodes = self.projections.nodes.all(tables)
            verdicts = self.projections.signs.tally(tables, now)
            claimed = self.projections.signs.claimed(tables)
            tasks = self.projections.tasks.by_state(tables)
            events = self.projections.totals.by_topic(tables)
            aside = self.projections.set_aside.all(tables)
        return Status(
            self.store.head(),
            self.lag(self.projections.position_now()),
            None if self.relay is None else self.lag(self.relay()),
            tuple(self._node(node, seen.get(node.hostname), now) for node in nodes),
            verdicts,
            {
                name: (now - one.oldest).total_seconds()
                for name, one in verdicts.items()
                if one.oldest is not None
            },
            claimed,
            tasks,
            events,
            self.unproven.all(),
            (*aside, *self.set_aside.all()),
            self.log(),
        )

    def lag(self, position: int) -> Lag:
        """Return the lag of a reader of the log that has processed it up to `position`.

        Raises StoreUnavailable.
        """
        waiting = self.store.entries(position, 1)
        if not waiting:
            return Lag(position, 0, 0.0)
        if isinstance(waiting[0], Unread):  # an event that cannot be read has no known time
            return Lag(position, max(1, self.store.head() - position), 0.0)
        age = self.clock() - waiting[0].event.timestamp
        return Lag(position, max(1, self.store.head() - position), max(0.0, age.total_seconds()))

    def _node(self, node: NodeRow, seen: datetime | None, now: datetime) -> NodeStatus:
        unheard = None if seen is None else now - seen
        is_expected = node.expected and unheard is None
        return NodeStatus(
            node.hostname,
            node.active is True,
            not is_expected and (node.lost or unheard is None or unheard > self.lease),
            not is_expected and (node.lost or unheard is None or unheard > self.quiet),
            None if unheard is None else unheard.total_seconds(),
            None if node.swept_at is None else (now - node.swept_at).total_seconds(),
            node.sweep_seconds,
            None if node.software is None else node.software.version,
            is_expected,
        )
