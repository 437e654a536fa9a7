"""What a code means: the entries of the registry of findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealward.events.findings.kind import Kind


@dataclass(frozen=True, slots=True)
class Meaning:
    """An entry of the registry: a stable code, the class of the difference, what it means, what to do."""

    code: str
    kind: Kind
    means: str
    to_do: str
