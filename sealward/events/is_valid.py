"""The three values of a verdict."""

from __future__ import annotations

from enum import StrEnum


class IsValid(StrEnum):
    """The value of a verdict, as it stands on the wire and in the log."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
