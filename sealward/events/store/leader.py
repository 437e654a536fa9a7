"""Exactly one of many does it."""

from __future__ import annotations

from typing import Protocol


class Leader(Protocol):
    """Says again and again whether this process is the one."""

    def holds(self) -> bool:
        """Say whether this process leads now; become the leader when nobody is."""

    def close(self) -> None:
        """Let another one lead."""


class Alone:
    """The leader where there is one process only."""

    def holds(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Do nothing."""
