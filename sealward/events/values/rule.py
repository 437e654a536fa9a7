"""The rules that a type can have: each gives the check of its values.

A rule stands in an annotation, `Annotated[str, Text(...)]`. A type without a rule has that of its bare type
(`DEFAULTS`), so that no field is without bounds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sealward.characters import CONTROL
from sealward.events.values.quick import QUICK, Check, Quick
from sealward.events.values.unfit import Unfit
from sealward.events.wire import ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

BIGGEST: Final = 2**63 - 1
"""The largest number of a BIGINT, of SQLite's INTEGER and of AMQP's signed 64 bits."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""The value that means no time at all, in fields that allow it (`Time.or_never`)."""
NOTHING: Final = timedelta(0)

SHORT: Final = 100
"""Longest text, in characters, that a rule remembers as fit, so that it checks the text only once."""
REMEMBERED: Final = 4096
"""Short texts that each rule remembers as fit: at most 400 KB."""


PLAIN: Final[Mapping[str | None, str]] = {
    None: "{v}.isascii() and {v}.isprintable()",
    "[!-~]*": "{v}.isascii() and {v}.isprintable() and ' ' not in {v}",
    "[!-~]+": "{v} and {v}.isascii() and {v}.isprintable() and ' ' not in {v}",
}
"""By pattern, a condition in Python for texts in ASCII, which takes less time than to look the text up."""


@dataclass(frozen=True, slots=True)
class Text:
    """Text of at most `most` bytes of UTF-8; without a `pattern`, one line without control characters.

    `pattern` is matched against all of the text. `means` completes the sentence "must be ...".
    """

    most: int
    pattern: str | None = None
    means: str = "one line of text without control characters"

    @property
    def expression(self) -> str:
        """Return the pattern that holds."""
        return self.pattern if self.pattern is not None else f"[^{CONTROL}]*"

    def check(self) -> Check:
        """Return the check: a function that raises Unfit for a value outside the rule."""
        match = re.compile(self.expression, re.DOTALL).fullmatch
        most, why = self.most, f"must be {self.means}, at most {self.most} bytes"
        is_line = self.pattern is None
        fit: set[str] = set()

        def check(value: Any) -> None:  # noqa: ANN401 - any value is checked
            if type(value) is str and value in fit:
                return
            if not isinstance(value, str) or len(value) > most:
                raise Unfit(why)
            if value.isascii():
                if not value.isprintable() if is_line else match(value) is None:
                    raise Unfit(why)
            elif match(value) is None or len(value.encode()) > most:
                raise Unfit(why)
            if len(value) <= SHORT:
                _remember(fit, value)

        plain = PLAIN.get(self.pattern)
        is_fit = "{v} in {0}" if plain is None else f"len({{v}}) <= {{1}} and {plain}"
        QUICK[check] = Quick(f"type({{v}}) is str and {is_fit}", (fit, most))
        return check


def _remember(fit: set[str], text: str) -> None:
    """Note a text that is fit: most texts come again, when their event is appended or from the same node."""
    if len(fit) >= REMEMBERED:
        fit.clear()
    fit.add(text)


@dataclass(frozen=True, slots=True)
class Spans(Text):
    """Ascending ranges of ids, as `ranges` writes them."""

    def check(self) -> Check:
        """Return the check: a function that raises Unfit for a value outside the rule."""
        looks_like_ranges = Text.check(self)

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            looks_like_ranges(value)
            try:
                ranges.parse(value)
            except ranges.RangesRefused as refused:
                raise Unfit("must be ascending ranges of ids") from refused

        return check


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, which are allowed themselves."""

    least: int = 0
    most: int = BIGGEST

    def check(self) -> Check:
        """Return the check: a function that raises Unfit for a value outside the rule."""
        least, most = self.least, self.most

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            if type(value) is not int or not least <= value <= most:
                raise Unfit(f"must be a whole number from {least} to {most}")

        QUICK[check] = Quick("type({v}) is int and {0} <= {v} <= {1}", (least, most))
        return check


@dataclass(frozen=True, slots=True)
class Real:
    """A finite number within bounds."""

    least: float = -1e15
    most: float = 1e15

    def check(self) -> Check:
        """Return the check: a function that raises Unfit for a value outside the rule."""

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            is_number = type(value) in (float, int)
            if not is_number or not math.isfinite(value) or not self.least <= value <= self.most:
                raise Unfit(f"must be a finite number from {self.least:g} to {self.most:g}")

        QUICK[check] = Quick("type({v}) is float and {0} <= {v} <= {1}", (self.least, self.most))
        return check


@dataclass(frozen=True, slots=True)
class Time:
    """A time in UTC from EARLIEST to LATEST. `or_never` allows NEVER, `any_zone` offsets other than UTC's."""

    or_never: bool = False
    any_zone: bool = False

    def check(self) -> Check:
        """Return the check: a function that raises Unfit for a value outside the rule."""
        or_never, any_zone = self.or_never, self.any_zone

        def check(value: Any) -> None:  # noqa: ANN401 - as above
            if not isinstance(value, datetime) or value.tzinfo is None:
                raise Unfit("must be a time with its zone")
            if value.tzinfo is not UTC and not any_zone and value.utcoffset() != NOTHING:
                raise Unfit("must be a time in UTC")
            if not EARLIEST.year <= value.year < LATEST.year and not (or_never and value == NEVER):
                raise Unfit(f"must be a time from {EARLIEST.year} on and before {LATEST.year}")

        within = "{2} <= {v}.year < {3}" + (" or {v} == {4}" if or_never else "")
        operands = (datetime, UTC, EARLIEST.year, LATEST.year, NEVER)
        QUICK[check] = Quick(f"type({{v}}) is {{0}} and {{v}}.tzinfo is {{1}} and ({within})", operands)
        return check


@dataclass(frozen=True, slots=True)
class Entries:
    """A tuple, set or mapping with at most `most` entries. The entries are checked by their own types."""

    most: int


def anything(value: Any) -> None:  # noqa: ANN401 - as above
    """Accept any value: its class or msgspec has checked it."""


@dataclass(frozen=True, slots=True)
class ReadLater:
    """A JSON value that is not checked here: its reader checks the parts that it uses."""

    def check(self) -> Check:
        """Return a check that accepts all values."""
        return anything


Rule = Text | Whole | Real | Time | Entries | ReadLater

MANY: Final = 20_000
"""Most entries of a collection without a rule. A node reports all its servers at once, and runs fewer."""
DEFAULTS: Final[Mapping[type, Text | Whole | Real | Time]] = {
    str: Text(1024),
    int: Whole(),
    float: Real(),
    datetime: Time(),
}
