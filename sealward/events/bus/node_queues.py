"""The queues that nodes read: the control plane alone makes them, fills them and deletes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from sealward.error import SealwardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealward.events.bus.bus import Bus


class QueueRefused(SealwardError):
    """The broker refuses a request about a queue: another connection uses it exclusively, for example.

    `status` is AMQP's reply code.
    """

    code = "bus.queue-refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Letter(NamedTuple):
    """A message for the reader of a queue."""

    queue: str
    body: bytes


class NodeQueues(Protocol):
    """Publishes to the queues of nodes. A full queue holds up no other queue. For one thread."""

    def open(self, queue: str) -> None:
        """Make the queue, unless it is there as it must be. Raises QueueRefused, BusUnavailable."""

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Put letters into their queues, of each queue in order; return the queues that did not take all.

        Raises BusUnavailable: then any of the letters may have been taken.
        """

    def delete(self, queue: str) -> None:
        """Delete the queue with all that is in it. Raises QueueRefused, BusUnavailable."""

    def close(self) -> None:
        """Close the connections."""


class BusQueues:
    """Queues of a bus in the process, `memory://`: they are there as soon as they are named."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def open(self, queue: str) -> None:
        """Do nothing."""

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Put letters into their queues; each takes all."""
        for one in letters:
            self._bus.send(one.queue, one.body)
        return frozenset()

    def delete(self, queue: str) -> None:
        """Do nothing: the queue goes with the process."""

    def close(self) -> None:
        """Do nothing: the bus belongs to the caller."""
