"""Orders to seal a server: each is open until the agent hears the event that the server was sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealward.protocol.desired import Assignment


@dataclass(frozen=True, slots=True)
class Order:
    """An administrator's order to seal a server as it is now, as `generation` of a sign."""

    server_id: str
    sign_id: int
    generation: int
    task_id: str | None


class Sealing:
    """The open orders of a node. `seal` carries out an order; it says whether it measured the server."""

    def __init__(self, seal: Callable[[Order], bool]) -> None:
        self._seal = seal
        self._open: dict[str, Order] = {}
        self._sent: set[str] = set()
        self._passed_over: set[str] = set()

    def take_over(self, assignments: Iterable[Assignment]) -> None:
        """Open the orders that the control plane names, and close all other orders."""
        self._open = {
            one.server_id: Order(one.server_id, one.sign_id, one.ordered, one.ordered_task)
            for one in assignments
            if one.ordered > one.sealed
        }
        self._sent.clear()
        self._passed_over.clear()

    def give(self, order: Order) -> None:
        """Take an order, and carry it out. The order stays open until `sealed`."""
        self._open[order.server_id] = order
        self._passed_over.discard(order.server_id)
        if self._seal(order):
            self._sent.add(order.server_id)
        else:
            self._sent.discard(order.server_id)

    def carry_out(self) -> None:
        """Carry out every open order, also an order whose measurement was sent: a report can be lost."""
        for order in tuple(self._open.values()):
            self.give(order)

    def try_again(self, server_id: str) -> None:
        """Carry out the open order for a server, unless its measurement was sent."""
        if server_id in self._open and server_id not in self._sent:
            self.give(self._open[server_id])

    def again(self, server_id: str) -> None:
        """Carry out the open order for a server, also if its measurement was sent, for it was not sealed."""
        if server_id in self._open:
            self.give(self._open[server_id])

    def is_sent(self, server_id: str) -> bool:
        """Say whether a measurement was sent and its seal not heard: another reference may be in force."""
        return server_id in self._sent

    def pass_over(self) -> frozenset[str]:
        """Return the servers that a sweep cannot vouch for: `is_sent` is true of them."""
        self._passed_over |= self._sent
        return frozenset(self._sent)

    def sealed(self, server_id: str, generation: int) -> bool:
        """Close the order for a sealed server; say whether a sweep passed the server over meanwhile."""
        passed_over = server_id in self._passed_over
        order = self._open.get(server_id)
        if order is not None and order.generation <= generation:
            self.forget(server_id)
        return passed_over

    def forget(self, server_id: str) -> None:
        """Close the order for a server, also if the server was not sealed."""
        self._open.pop(server_id, None)
        self._sent.discard(server_id)
        self._passed_over.discard(server_id)
