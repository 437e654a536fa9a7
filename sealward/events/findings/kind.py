"""The classes of the parts of a domain."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The class of a part. Commands print the value, and the API and events have it as `class`.

    docs/profile.md says what each class means, and `node_agent.measuring.classes` lists the parts.
    """

    CONFIGURATION = "configuration"
    DERIVED = "derived"
    ASSIGNED = "assigned"
    STATE = "state"
    BOUND = "bound"
