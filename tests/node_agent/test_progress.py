"""What an agent says about the files it reads: how far, how fast, and when it is over."""

from __future__ import annotations

from sealward.node_agent.progress import SAMPLES, Progress
from sealward.protocol import reports

GIB = 1024**3


class Node:
    """What is read there, and what it said."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, int]] = {}
        self.said: list[reports.AnyReport] = []
        self.now = 0.0
        self.progress = Progress("kvm1", lambda: self.found, self.said.append, lambda: self.now)

    def say(self, **found: tuple[int, int]) -> tuple[reports.ReadProgress, ...]:
        """Go on for two seconds; return what is said then, nothing when nothing is."""
        self.said.clear()
        self.now += 2
        self.found = found
        self.progress.say()
        said = [one for one in self.said if isinstance(one, reports.Progress)]
        return said[0].readings if said else ()


def test_the_rate_is_that_of_the_last_reports() -> None:
    """None before there is one; a file system that comes to a halt has no rate after a while."""
    node = Node()
    first = node.say(one=(GIB, 9 * GIB))
    second = node.say(one=(2 * GIB, 9 * GIB))
    halted = [node.say(one=(2 * GIB, 9 * GIB)) for _ in range(SAMPLES)]

    assert first == (reports.ReadProgress("one", GIB, 9 * GIB),)
    assert second == (reports.ReadProgress("one", 2 * GIB, 9 * GIB, GIB // 2),)
    assert halted[-1] == (reports.ReadProgress("one", 2 * GIB, 9 * GIB, 0),)


def test_the_end_is_said_once() -> None:
    """An agent at rest says nothing."""
    node = Node()
    node.say(one=(1, 2))
    node.say()
    assert node.said == [reports.Progress(hostname="kvm1", readings=())]
    node.say()

    assert node.said == []


def test_a_report_has_room_for_so_many() -> None:
    """A thousand servers on one base image fill no broker."""
    readings = Node().say(**{f"server-{number}": (0, 1) for number in range(1000)})

    assert len(readings) == reports.MAX_READINGS
