"""The roles that a user of the API can have. `sealward/http/auth/access.py` says what each role allows."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A local token has one of these; in Keystone they are roles of the same names."""

    ADMIN = "admin"
    """Does everything."""
    SECURITY_OFFICER = "security-officer"
    """Signs, switches nodes, and sees everything."""
    AUDITOR = "auditor"
    """Sees everything, the past and the log included; changes nothing."""
    READER = "reader"
    """Sees what is: signs, verdicts, servers, nodes and tasks."""
