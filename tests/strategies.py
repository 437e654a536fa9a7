"""Values of any type of `sealward.events.values`, drawn from the rules themselves."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from sealward.events import values
from sealward.events.wire import ranges

FEW = 4
"""Entries that are drawn at most, where no rule allows fewer."""
EDGES = ("é", "\U0001f4a9", "\xa0", "\ufeff", '"', "\\", "'", "%", "{", "\ufffe")
"""What some reader could stumble over, and must not."""
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_ANY = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=_BIDI)
_PRINTED = _ANY | st.sampled_from(EDGES)
_NAMES = st.text(_PRINTED, max_size=9)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-values.BIGGEST, values.BIGGEST) | st.text(_PRINTED, max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_PRINTED, max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


def drawn(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any annotation
    """Return a strategy for all values that a type allows, the longest and the largest among them."""
    rule, bare = values.taken_apart(kind)
    match rule:
        case values.Spans():
            return st.frozensets(st.integers(1, 10**17), max_size=20).map(ranges.render)
        case values.Text():
            return _text(rule)
        case values.Whole():
            return st.integers(rule.least, rule.most) | st.sampled_from((rule.least, rule.most))
        case values.Real():
            return st.floats(rule.least, rule.most, allow_nan=False)
        case values.Time():
            return _time(rule)
    return _composed(bare)


def _text(rule: values.Text) -> st.SearchStrategy[str]:
    if rule.pattern is not None:
        return st.from_regex(rule.pattern, fullmatch=True).filter(
            lambda text: len(text.encode()) <= rule.most
        )
    short = st.text(_PRINTED, max_size=20)
    full = st.sampled_from(("x", "é", "\U0001f4a9")).map(lambda one: one * (rule.most // len(one.encode())))
    return (short | full).filter(lambda text: len(text.encode()) <= rule.most)


def _time(rule: values.Time) -> st.SearchStrategy[datetime]:
    first = values.EARLIEST.replace(tzinfo=None)
    last = datetime(values.LATEST.year - 1, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - as Hypothesis wants it
    some = st.datetimes(first, last, timezones=st.just(UTC))
    return some | st.just(values.NEVER) if rule.or_never else some


def _composed(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401, PLR0911 - one return a form
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if values.is_structured(kind):
        return st.builds(kind, **{name: drawn(one) for name, one in values.fields_of(kind).items()})
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if one is types.NoneType else drawn(one) for one in arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(drawn, arguments))
    if origin is tuple:
        return st.lists(drawn(arguments[0]), max_size=FEW).map(tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if arguments[1] in (object, Any):
            return st.dictionaries(_NAMES, _JSON, max_size=FEW)
        return st.dictionaries(drawn(arguments[0]), drawn(arguments[1]), max_size=FEW)
    if kind is bool:
        return st.booleans()
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    raise TypeError(kind)
