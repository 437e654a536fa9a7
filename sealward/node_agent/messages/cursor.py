"""How far an agent knows the log, and what it heard while it waits to be told everything."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sealward.events.base import Recorded

KEPT: Final = 2000
"""Events that are kept while an agent waits."""


class EventCursor:
    """Events come in order, some twice; an answer that tells everything may be older than some of them.

    `position` is how far this agent knows the log; None: it has to be told everything.
    """

    def __init__(self) -> None:
        self.position: int | None = None
        self._heard = 0
        self._begun = 0
        """The position of the answer that was taken last."""
        self._oldest: int | None = None
        """While it waits: the position that an answer must reach, for the events before it are gone."""
        self._since: deque[Recorded] = deque()

    def ask(self) -> None:
        """Keep from now on what is heard: the answer may not know of it."""
        if self._oldest is None:
            self._oldest = self._heard
            self._since.clear()

    def forget(self) -> None:
        """Know nothing any more, and wait to be told."""
        self.position = None
        self.ask()

    def needs(self, position: int) -> bool:
        """Hear that everything is to be asked for, as of that position; say whether nobody has asked yet.

        Also where an answer is waited for: it has to reach that position.
        """
        if position <= self._begun:
            return False
        waits = self._oldest is not None
        self.ask()
        self._oldest = max(self._oldest or 0, position)
        return not waits

    def is_news(self, recorded: Recorded) -> bool:
        """Hear an event; say whether it is to be acted on now."""
        self._heard = max(self._heard, recorded.position)
        if self._oldest is not None:
            self._keep(recorded)
        if self.position is None or recorded.position <= self.position:
            return False
        self.position = recorded.position
        return True

    def is_old(self, position: int) -> bool:
        """Say whether what stands for that position is older than what cannot be heard again."""
        reached = self._oldest if self._oldest is not None else self.position
        return position < (reached or 0)

    def begin_at(self, position: int) -> list[Recorded]:
        """Know everything up to that position; return the later events that were heard already."""
        self.position = self._begun = position
        later = [one for one in self._since if one.position > position]
        self._since.clear()
        self._oldest = None
        return later

    def _keep(self, recorded: Recorded) -> None:
        self._since.append(recorded)
        if len(self._since) > KEPT:
            self._oldest = self._since.popleft().position
