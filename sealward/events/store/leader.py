"""Leadership: of several processes only the leader does a piece of work."""

from __future__ import annotations

from typing import Protocol


class Leader(Protocol):
    """Decides whether this process leads. A leader may lose leadership at any time."""

    def holds(self) -> bool:
        """Say whether this process leads now; lead from now on if no process leads."""

    def close(self) -> None:
        """Give up the lead, so that another process can lead."""


class Alone:
    """The leadership of a process that is alone: it always leads."""

    def holds(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing."""
