"""What a node says of the servers that it has, and what follows from a server being gone for a moment."""

from __future__ import annotations

from typing import cast

from factories import NOON, SERVER

from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.node_agent.inventory import Inventory
from sealward.protocol import reports

OTHER = "1a2b3c4d-0000-4000-8000-000000000001"


class Node:
    """A node whose libvirt has the servers that it is told to have."""

    def __init__(self) -> None:
        self.has: set[str] = set()
        self.said: list[reports.AnyReport] = []
        self.gone: list[str] = []
        self.inventory = Inventory(
            cast("Hypervisor", self),
            "kvm1",
            moment=lambda: NOON,
            send=self.said.append,
            departing=frozenset,
            gone=self.gone.append,
        )

    def servers(self) -> list[tuple[str, str]]:
        """Stand in for the hypervisor."""
        return [(one, f"instance-{one[:8]}") for one in sorted(self.has)]

    def running(self) -> frozenset[str]:
        """Stand in for the hypervisor."""
        return frozenset(self.has)

    def leaving(self) -> frozenset[str]:
        """Stand in for the hypervisor."""
        return frozenset()


def test_what_is_said_to_be_gone_is_looked_at_anew() -> None:
    """Trust was withdrawn from it: finding it equal is news when it is back, however soon that is."""
    node = Node()
    for servers in ({SERVER, OTHER}, {OTHER}, {SERVER, OTHER}, {SERVER}):
        node.has = set(servers)
        node.inventory.report(if_news=True)

    assert node.gone == [SERVER, OTHER]
    assert len(node.said) == 4


def test_what_is_no_news_is_not_said() -> None:
    """Unless everything is to be said."""
    node = Node()
    node.has = {SERVER}
    for if_news in (True, True, False):
        node.inventory.report(if_news=if_news)

    assert (len(node.said), node.gone) == (2, [])
