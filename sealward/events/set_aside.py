"""Events that a reader of the log could not process, and set aside to go on with the next event.

A reader is a part of the control plane that follows the log: the projections, the relay to the broker, the
publisher of Celery's events. An event that a reader cannot process would stop the reader for good, because it
would read the same event again after each start. A store or broker that is away is no reason to set an event
aside: then the reader waits.
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
"""The exceptions of a reader for an event that is malformed, or that reveals a bug in the reader."""
MOST: Final = 300
"""Bytes of a detail that are kept."""


@dataclass(frozen=True, slots=True)
class Aside:
    """An event at `position` that `part` could not process, the reason, and the time."""

    position: int
    part: str
    topic: str
    reason: str
    detail: str
    at: datetime


class SetAside(Protocol):
    """A function that records that an event was set aside."""

    def __call__(self, position: int, topic: str, why: Exception) -> None:
        """Record the event. Recording the same event again changes nothing. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry of the log whose bytes cannot be read as a known event, and the reason."""

    entry: Stored
    why: Exception

    @property
    def position(self) -> int:
        """Return the entry's position in the log."""
        return self.entry.position


def only_said(position: int, topic: str, why: Exception) -> None:
    """Log that an event was set aside, and record it nowhere."""
    log.error("event %d (%s) is set aside: %s", position, topic, detail_of(why))


def reason_of(why: Exception) -> str:
    """Return a code: the exception's own, or the name of its class."""
    return escaped(str(getattr(why, "code", type(why).__name__)), 64)


def detail_of(why: Exception) -> str:
    """Return the text of the exception as a single line."""
    return escaped(str(why), MOST)
