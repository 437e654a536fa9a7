"""The version of Sealward that this process is of."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from typing import Final

NUMBERS: Final = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})")


@functools.cache
def own() -> str:
    """Return the version, as `0.2.0`."""
    return importlib.metadata.version("sealward")


def is_older(version: str | None, than: str) -> bool:
    """Return whether a version is before another version; None, and a text that is none, are earliest."""
    mine = NUMBERS.match(version or "")
    others = NUMBERS.match(than)
    if mine is None or others is None:
        return mine is None
    return tuple(map(int, mine.groups())) < tuple(map(int, others.groups()))
