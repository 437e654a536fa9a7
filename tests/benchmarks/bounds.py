"""What a benchmark has to show: a figure beside its bound."""

from __future__ import annotations

from dataclasses import dataclass

MARK = "=>"
"""Heads the lines that the summary of all benchmarks repeats."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure and what it must be at least, or with `most` at most."""

    what: str
    measured: float
    limit: float
    unit: str
    most: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the figure is on the right side."""
        return self.measured <= self.limit if self.most else self.measured >= self.limit

    def __str__(self) -> str:
        """Read as one line of the summary."""
        side = "<=" if self.most else ">="
        digits = 2 if self.limit < 10 else 0  # ratios and small times
        figures = f"{self.measured:>10,.{digits}f} {self.unit:<9} {side} {self.limit:>8,.{digits}f}"
        missed = abs(self.measured / self.limit - 1)
        return f"{MARK} {self.what:<58} {figures}  {'ok' if self.holds else f'MISSED by {missed:.0%}'}"


def report(*bounds: Bound) -> int:
    """Print the bounds; return the exit status: 0 when all hold."""
    for one in bounds:
        print(one, flush=True)
    return 0 if all(one.holds for one in bounds) else 1
