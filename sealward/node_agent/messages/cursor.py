"""How far an agent has followed the log, and the events that came while it waits for its state."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sealward.events.base import Recorded

KEPT: Final = 2000
"""Events that are kept while an agent waits for the answer to its registration."""


class EventCursor:
    """The position of one agent in the log. Events come in order, some of them twice.

    The answer to a registration has the whole state of a node as of a position. Events after that position
    may have come before the answer, so they are kept until the answer comes. `position` is the last position
    that the agent's state covers; None while the agent has no state.
    """

    def __init__(self) -> None:
        self.position: int | None = None
        self._heard = 0
        self._begun = 0
        """The position of the last answer that was taken over."""
        self._oldest: int | None = None
        """While an answer is awaited: the position that it must reach. Events before that are not kept."""
        self._since: deque[Recorded] = deque()

    def ask(self) -> None:
        """Keep events from now on: the answer may be older than they are."""
        if self._oldest is None:
            self._oldest = self._heard
            self._since.clear()

    def forget(self) -> None:
        """Have no state any more, and wait for an answer."""
        self.position = None
        self.ask()

    def needs(self, position: int) -> bool:
        """Say whether the agent has to register because of a message that tells it to ask as of `position`.

        While an answer is awaited there is no need, but the answer has to reach that position.
        """
        if position <= self._begun:
            return False
        waits = self._oldest is not None
        self.ask()
        self._oldest = max(self._oldest or 0, position)
        return not waits

    def is_news(self, recorded: Recorded) -> bool:
        """Take note of an event; say whether the agent has to act on the event now."""
        self._heard = max(self._heard, recorded.position)
        if self._oldest is not None:
            self._keep(recorded)
        if self.position is None or recorded.position <= self.position:
            return False
        self.position = recorded.position
        return True

    def is_old(self, position: int) -> bool:
        """Say whether an answer as of `position` is too old: it misses events that are not kept."""
        reached = self._oldest if self._oldest is not None else self.position
        return position < (reached or 0)

    def begin_at(self, position: int) -> list[Recorded]:
        """Have the state as of `position`; return the later events that have come already."""
        self.position = self._begun = position
        later = [one for one in self._since if one.position > position]
        self._since.clear()
        self._oldest = None
        return later

    def _keep(self, recorded: Recorded) -> None:
        self._since.append(recorded)
        if len(self._since) > KEPT:
            self._oldest = self._since.popleft().position
