"""The bus of a simulation: it loses, doubles, delays and reorders, and its users die while they use it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from simulation.messages import speaker

from sealward.events.bus import BusUnavailable

AT_ONCE = 4
"""Reports that workers hold beside each other: so many may overtake."""


class Killed(Exception):
    """The process that was about to go on is dead."""


@dataclass(frozen=True)
class Weather:
    """How likely each mishap is, each time that it could happen."""

    lost_reports: float = 0.0
    lost_events: float = 0.0
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
            doubled=0.1 * foul,
            unsure=0.03 * foul,
            away=0.03 * foul,
            killed=0.04 * foul,
        )


class Network:
    """Queues of bytes. What a worker sends may arrive later than what it sends next, or never."""

    def __init__(self, dice: Random, weather: Weather) -> None:
        self._dice = dice
        self.weather = weather
        self.inbox: list[bytes] = []
        self.queues: dict[str, list[bytes]] = {}
        self.on_the_way: list[tuple[str, bytes]] = []
        self._bindings: dict[str, str] = {}

    def submit(self, body: bytes) -> None:
        """Take a report of an agent."""
        self.strike()
        if self.happens(self.weather.lost_reports):
            return
        self.inbox.append(body)
        if self.happens(self.weather.doubled):
            self.inbox.append(body)
        self.strike_after()

    def send(self, queue: str, body: bytes) -> None:
        """Take a message for a node; others may overtake it."""
        self.strike()
        self.on_the_way.append((queue, body))
        self.strike_after()

    def publish(self, routing_key: str, body: bytes) -> None:
        """Hand an event to the node that it is about."""
        self.strike()
        for queue, node in self._bindings.items():
            if routing_key.endswith(node) and not self.happens(self.weather.lost_events):
                self.queues[queue].append(body)
        self.strike_after()

    def bind(self, queue: str, routing_key: str) -> None:
        """Let a queue have the events of a node."""
        self.strike()
        self.queues.setdefault(queue, [])
        self._bindings[queue] = routing_key.removeprefix("#")

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
