"""The roles that a user of the API can have. `sealward/http/auth/access.py` says what each role allows."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A local token has exactly one role. A user of Keystone has the roles of the same names."""

    ADMIN = "admin"
    """Does everything."""
    SECURITY_OFFICER = "security-officer"
    """Signs, switches nodes, and sees everything."""
    AUDITOR = "auditor"
    """Reads everything, the past and the log included; changes nothing."""
    READER = "reader"
    """Reads the present state: signs, verdicts, servers, nodes and tasks."""
