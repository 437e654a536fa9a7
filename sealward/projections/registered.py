"""The list of all projections. A new projection is added here, with one line."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from sealward.projections.envelopes import Envelopes
from sealward.projections.history import History
from sealward.projections.hosts import Hosts
from sealward.projections.nodes import Nodes
from sealward.projections.servers import Servers
from sealward.projections.set_aside import SetAside
from sealward.projections.signs import Signs
from sealward.projections.tasks import Tasks
from sealward.projections.totals import Totals
from sealward.projections.tree import Runs, Tree

if TYPE_CHECKING:
    from sealward.projections.projection import Projection


@dataclass(frozen=True)
class Registered:
    """All projections. A batch of events is folded into the projections in this order.

    `set_aside` comes last, and every database has it: it keeps the events that other projections could not
    fold.
    """

    signs: Signs = field(default_factory=Signs)
    envelopes: Envelopes = field(default_factory=Envelopes)
    nodes: Nodes = field(default_factory=Nodes)
    hosts: Hosts = field(default_factory=Hosts)
    servers: Servers = field(default_factory=Servers)
    tasks: Tasks = field(default_factory=Tasks)
    history: History = field(default_factory=History)
    totals: Totals = field(default_factory=Totals)
    tree: Tree = field(default_factory=Tree)
    tree_runs: Runs = field(default_factory=Runs)
    set_aside: SetAside = field(default_factory=SetAside)

    def registered(self) -> tuple[Projection, ...]:
        """Return the projections in their order."""
        return tuple(getattr(self, one.name) for one in fields(self))
