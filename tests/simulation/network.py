"""The bus of a simulation: it loses, doubles, delays and reorders, and its users die while they use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from simulation.messages import speaker

from sealward.events.bus.connection import BusUnavailable
from sealward.events.bus.node_queues import Letter

AT_ONCE = 4
"""Reports that workers hold beside each other: so many may overtake."""


class Killed(Exception):
    """The process that was about to go on is dead."""


@dataclass(frozen=True)
class Weather:
    """How likely each mishap is, each time that it could happen."""

    lost_reports: float = 0.0
    lost_events: float = 0.0
    refused: float = 0.0
    """The queue of a node does not take what happens to the node."""
    doubled: float = 0.0
    unsure: float = 0.0
    """The broker or the store did it, but the answer was lost."""
    away: float = 0.0
    killed: float = 0.0
    overtaken: float = 0.5
    """A report after which those of another node are taken first."""
    behind: float = 1.0
    """The rows do not know yet what is in the log when a report is taken."""

    @classmethod
    def drawn(cls, dice: Random) -> Weather:
        """Return the weather of one history: some are fine, some are foul."""
        foul = dice.choice((0.0, 0.3, 1.0))
        return cls(
            lost_reports=dice.choice((0.0, 0.1)),
            lost_events=dice.choice((0.0,) * 9 + (0.05,)),
            refused=0.1 * foul,
            doubled=0.1 * foul,
            unsure=0.03 * foul,
            away=0.03 * foul,
            killed=0.04 * foul,
        )


class Network:
    """Queues of bytes. An answer to a node may arrive later than what happens meanwhile, or never."""

    def __init__(self, dice: Random, weather: Weather) -> None:
        self._dice = dice
        self.weather = weather
        self.inbox: list[bytes] = []
        self.queues: dict[str, list[bytes]] = {}
        self.on_the_way: list[Letter] = []

    def submit(self, body: bytes) -> None:
        """Take a report of an agent."""
        self.strike()
        if self.happens(self.weather.lost_reports):
            return
        self.inbox.append(body)
        if self.happens(self.weather.doubled):
            self.inbox.append(body)
        self.strike_after()

    def arrive(self) -> None:
        """Let one of the messages that are on the way to a node arrive."""
        if self.on_the_way:
            queue, body = self.on_the_way.pop(self._dice.randrange(len(self.on_the_way)))
            self.queues.setdefault(queue, []).append(body)

    def next_reports(self) -> list[bytes]:
        """Return which reports a worker takes together: of some nodes it takes none before the others.

        The broker serves one worker at a time, so no report of a node overtakes another of that node.
        """
        first = self.inbox[:AT_ONCE]
        late: set[str] = set()
        for body in first:
            if self.happens(self.weather.overtaken):
                late.add(speaker(body))
        return [body for body in first if speaker(body) not in late] or first[:1]

    def happens(self, likely: float) -> bool:
        """Say whether it happens this time."""
        return self._dice.random() < likely

    def strike(self) -> None:
        """Do harm before something was done."""
        if self.happens(self.weather.away):
            raise BusUnavailable("the broker is away")
        if self.happens(self.weather.killed):
            raise Killed

    def strike_after(self) -> None:
        """Do harm after something was done."""
        if self.happens(self.weather.unsure):
            raise BusUnavailable("the answer was lost")
        if self.happens(self.weather.killed):
            raise Killed


class Deliveries:
    """The queues of nodes, as who tells them what happens sees them: in order, if a queue takes it."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def open(self, queue: str) -> None:
        """Make the queue of a node."""
        self._network.strike()
        self._network.queues.setdefault(queue, [])

    def put(self, letters: Sequence[Letter]) -> frozenset[str]:
        """Put letters into queues; return those that did not take all."""
        if letters:
            self._network.strike()
        failed = frozenset(one.queue for one in letters if not self._take(one))
        if letters:
            self._network.strike_after()
        return failed

    def delete(self, queue: str) -> None:
        """Delete the queue of a node."""
        self._network.queues.pop(queue, None)

    def close(self) -> None:
        """Do nothing."""

    def _take(self, letter: Letter) -> bool:
        network = self._network
        if letter.queue not in network.queues or network.happens(network.weather.refused):
            return False
        if not network.happens(network.weather.lost_events):
            network.queues[letter.queue].append(letter.body)
        return True


class Answered(Deliveries):
    """The same for who answers nodes: what happens meanwhile may overtake an answer."""

    def _take(self, letter: Letter) -> bool:
        self._network.on_the_way.append(letter)
        return True
