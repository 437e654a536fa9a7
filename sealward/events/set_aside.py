"""Events that a reader of the log could not take, and set aside to go on with the next.

A reader is a part of the control plane that follows the log: the projections, the relay to the broker, what
tells Celery's clients. An event that such a part cannot take would stop it for good, for it would find the
same event at its next start. Whether a store or a broker is away is another matter: then the part waits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from sealward.characters import escaped

if TYPE_CHECKING:
    from datetime import datetime

    from sealward.events.base import Stored

log = logging.getLogger(__name__)

BROKEN: Final[tuple[type[Exception], ...]] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    AssertionError,
    msgspec.MsgspecError,
)
"""What a reader raises when an event is malformed, or brings out a fault in the code of the reader."""
MOST: Final = 300
"""Bytes of a detail that are kept."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An event at `position` that `part` could not take, why, and when that was."""

    position: int
    part: str
    topic: str
    reason: str
    detail: str
    at: datetime


class SetAside(Protocol):
    """Keeps in mind that an event was set aside."""

    def __call__(self, position: int, topic: str, why: Exception) -> None:
        """Keep it; the same event once more changes nothing. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of the log whose bytes are no event that is known, and why."""

    entry: Stored
    why: Exception

    @property
    def position(self) -> int:
        """Return its place in the log."""
        return self.entry.position


def only_said(position: int, topic: str, why: Exception) -> None:
    """Say in the log of the process that an event was set aside, and keep it nowhere."""
    log.error("event %d (%s) is set aside: %s", position, topic, detail_of(why))


def reason_of(why: Exception) -> str:
    """Return a code: the exception's own, or the name of its class."""
    return escaped(str(getattr(why, "code", type(why).__name__)), 64)


def detail_of(why: Exception) -> str:
    """Return what the exception says, as one line."""
    return escaped(str(why), MOST)
