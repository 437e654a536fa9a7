"""How much the costly tests try: a part by default, and everything where `.ci/run` asks for it.

With `SEALWARD_TEST_EVERYTHING=1` these tests draw all their examples and replay all seeds, and `make test`
runs the tests that are marked `more`. The rules are the same in both cases: the number of inputs differs.
"""

from __future__ import annotations

import os
from typing import Final

EVERYTHING: Final = os.environ.get("SEALWARD_TEST_EVERYTHING") == "1"
PART: Final = 8
"""By default a costly test draws one in so many of its examples."""
FEWEST: Final = 5


def examples(everything: int) -> int:
    """Return how many examples to draw, of which `.ci/run` draws `everything`."""
    return everything if EVERYTHING else min(everything, max(FEWEST, everything // PART))


def seeds(variable: str, few: str, everything: str) -> range:
    """Return the seeds to replay: those that the environment variable names (`17`, `0-9`), or the default."""
    first, _, last = os.environ.get(variable, everything if EVERYTHING else few).partition("-")
    return range(int(first), int(last or first) + 1)
