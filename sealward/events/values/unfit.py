"""The exception for a value that is not of its type."""

from __future__ import annotations

from sealward.error import SealwardError


class Unfit(SealwardError, ValueError):
    """A value is not of its type."""

    code = "value.unfit"

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path.lstrip('.') or 'value'}: {why}")
        self.why = why
        self.path = path

    def inside(self, where: str) -> Unfit:
        """Return the exception for the larger value, in which this value is at the path `where`."""
        return Unfit(self.why, f"{where}{self.path}")
