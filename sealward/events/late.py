"""Fields that were added to an event or a policy after its first version.

Stored events of before do not have such a field, and are never rewritten. A value that is the field's default
is therefore not written: an event without a use for the field has the same bytes as before the field existed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

_LATE = "late"


def late(default: object = None) -> Any:  # noqa: ANN401 - as dataclasses.field(), which it stands for
    """Declare a field of a dataclass as added later. `default` is its value in events of before."""
    return dataclasses.field(default=default, metadata={_LATE: True})


def late_fields(kind: type[Any]) -> dict[str, Any]:
    """Return the fields of a dataclass that were added later, with their defaults."""
    return {one.name: one.default for one in dataclasses.fields(kind) if _LATE in one.metadata}
