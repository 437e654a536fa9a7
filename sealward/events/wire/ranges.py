"""Sets of integer ids written as ranges, "1-998,1000": a sweep of a whole node is a few characters."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from sealward.error import SealwardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class RangesRefused(SealwardError, ValueError):
    """The text is no ascending list of ranges of positive integers."""

    code = "ranges.refused"


def render(ids: Iterable[int]) -> str:
    """Return the ids as ascending ranges; "" for none."""
    spans: list[list[int]] = []
    for one in sorted(set(ids)):
        if spans and spans[-1][1] == one - 1:
            spans[-1][1] = one
        else:
            spans.append([one, one])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def parse(text: str) -> tuple[range, ...]:
    """Return the ranges, to be asked with `holds`, never to be listed: a text can name billions.

    Raises RangesRefused.
    """
    spans = tuple(_span(part) for part in text.split(",")) if text else ()
    edge = -1
    for span in spans:
        if span.start <= edge + 1 or not span:
            raise RangesRefused
        edge = span.stop - 1
    return spans


def holds(spans: Sequence[range], one: int) -> bool:
    """Say whether an id is in ranges that `parse` has returned; a node may write thousands of them."""
    at = bisect_right(spans, one, key=attrgetter("start")) - 1
    return at >= 0 and one in spans[at]


def _span(part: str) -> range:
    low, dash, high = part.partition("-")
    for number in (low, high) if dash else (low,):
        if not (number.isascii() and number.isdigit()):
            raise RangesRefused(f"{part!r} is no range")
    return range(int(low), int(high or low) + 1)
