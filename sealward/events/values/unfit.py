"""What is raised for a value that is not of its type."""

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
        """Return the same of a value that is at `where` in a larger one."""
        return Unfit(self.why, f"{where}{self.path}")
