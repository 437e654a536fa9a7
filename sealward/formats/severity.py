"""How urgent an event is, on one scale for all formats."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """The severity of an event. The numbers are those of OCSF's `severity_id`."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4

    @property
    def cef(self) -> int:
        """Return the severity of CEF, from 0 (lowest) to 10."""
        return {1: 1, 2: 3, 3: 6, 4: 9}[self]

    @property
    def syslog(self) -> int:
        """Return the severity of syslog, from 7 (debug) to 0 (emergency): RFC 5424, section 6.2.1."""
        return {1: 6, 2: 5, 3: 4, 4: 3}[self]
