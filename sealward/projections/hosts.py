"""The hosts that may report: registered nodes, and hosts that are invited to register."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.events import node as of_node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealward.events.base import Recorded
    from sealward.projections.store.tables import Tables


class Hosts:
    """The projection of hosts: one row for each host that may report.

    A host keeps its row when its invitation expires, because it may be invited again at any moment.
    """

    name = "hosts"

    def reset(self, tables: Tables) -> None:
        """Drop the table and create it anew, without rows."""
        tables.run("hosts.drop")
        tables.run("hosts.create")

    def create(self, tables: Tables) -> None:
        """Create the table unless it exists."""
        tables.run("hosts.create")

    def apply(self, batch: Iterable[Recorded], tables: Tables) -> None:
        """Fold a batch of events, in order, into the rows."""
        for one in batch:
            match one.event:
                case of_node.NodeInvited(hostname=hostname):
                    tables.run("hosts.add", {"hostname": hostname, "registered": False})
                case of_node.NodeRegistered(hostname=hostname):
                    tables.run("hosts.add", {"hostname": hostname, "registered": True})
                case of_node.NodeUninvited(hostname=hostname):
                    tables.run("hosts.uninvite", {"hostname": hostname})
                case of_node.NodeRemoved(hostname=hostname):
                    tables.run("hosts.remove", {"hostname": hostname})

    def all(self, tables: Tables) -> list[str]:
        """Return the hostnames."""
        return [str(found["hostname"]) for found in tables.all("hosts.all")]
