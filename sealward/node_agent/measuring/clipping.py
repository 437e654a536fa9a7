"""The length of the values in findings."""

from __future__ import annotations

from typing import Final

MAX_VALUE: Final = 200
"""Characters of a value in a finding, at most."""


def clipped(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Cut both values to MAX_VALUE characters, around the first difference when it lies further back."""
    start = 0
    if old is not None and new is not None and max(len(old), len(new)) > MAX_VALUE:
        pairs = enumerate(zip(old, new, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
        start = max(0, same - MAX_VALUE // 2)
    return clip(old, start), clip(new, start)


def clip(value: str | None, start: int) -> str | None:
    """Cut a value to MAX_VALUE characters from `start` on. An ellipsis stands for text that was cut off."""
    if value is None:
        return None
    text = ("…" if start else "") + value[start : start + MAX_VALUE + 1]
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
