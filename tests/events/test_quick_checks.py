"""Compiled checks decide as the checks that they spare the call of."""

from __future__ import annotations

import dataclasses
import enum
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from factories import ONE_OF_EACH
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import drawn

from sealward.events import values
from sealward.events.base import Event
from sealward.events.values.quick import QUICK, Check, Quick


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()


class Word(enum.StrEnum):
    """A member that equals a text."""

    ONE = "a"


HOSTILE: tuple[Any, ...] = (
    None,
    "",
    "a",
    "A",
    "a\n",
    "a\x00",
    "\x7f",
    "\u2028",
    "x" * 5000,
    Text("a"),
    Text("a\x00"),
    Word.ONE,
    b"a",
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    1.0,
    -1.0,
    math.nan,
    math.inf,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(0))),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
    datetime(1999, 12, 31, tzinfo=UTC),
    datetime(2200, 1, 1, tzinfo=UTC),
    values.NEVER,
    (),
    [],
    {},
    frozenset(),
)
"""Fit for some types, and unfit for most."""
NAMED = [getattr(values, name) for name in values.__all__ if hasattr(getattr(values, name), "__metadata__")]


def complaint(check: Check, value: object) -> str | None:
    """Return what a check says of a value: None where it is fit, else why not, or the error's type."""
    try:
        check(value)
    except values.Unfit as unfit:
        return unfit.why
    except (TypeError, AttributeError, ValueError) as error:
        return type(error).__name__
    return None


def holds(quick: Quick, value: object) -> bool:
    """Evaluate a condition as a compiled check does."""
    names = {f"_{number}": one for number, one in enumerate(quick.operands)}
    condition = quick.condition.format(*names, v="v")
    return bool(eval(condition, names | {"v": value}))  # noqa: S307 - it is what is tested


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_no_condition_holds_for_a_value_that_its_check_refuses(*, again: bool) -> None:
    """Nor when the same values have been looked at before, and texts among them are remembered."""
    for event in ONE_OF_EACH:
        values.check(event)
    assert len(QUICK) > 20
    for check, quick in QUICK.items():
        for value in HOSTILE:
            if again:
                complaint(check, value)
            if holds(quick, value):
                assert complaint(check, value) is None, (quick, value)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda one: str(one.topic))
def test_the_check_of_a_class_says_what_the_check_of_a_field_says(event: Event) -> None:
    """Of each field, for each value that is not of its type, and where in the event the value stands."""
    for name, hint in values.fields_of(type(event)).items():
        for value in HOSTILE:
            why = complaint(values.checker(hint), value)
            changed = dataclasses.replace(event, **{name: value})
            assert complaint(values.check, changed) == why, (name, value)
            if isinstance(value, (str, int, float)) and why is not None and why.startswith("must"):
                with pytest.raises(values.Unfit) as raised:
                    values.check(changed)
                assert raised.value.path.startswith(f".{name}")


@pytest.mark.parametrize("kind", NAMED, ids=str)
@settings(max_examples=5)
@given(data=st.data())
def test_what_a_type_allows_is_fit_alone_in_a_row_and_in_a_mapping(kind: Any, data: st.DataObject) -> None:  # noqa: ANN401 - any annotation
    """For every value that its rule allows, however it is held; and never beside one that is not."""
    value = data.draw(drawn(kind))
    holders: list[tuple[Any, Any, Any]] = [
        (tuple[kind, ...], (value, value), (value, b"")),
        (tuple[kind, kind], (value, value), (value, b"")),
        (dict[values.Word, kind], {"a": value}, {"a": value, "b": b""}),
        (dict[values.Word, kind], {"a": value}, {"a\x00": value}),
        (kind | None, value, b""),
    ]

    for holder, fit, unfit in holders:
        assert complaint(values.checker(holder), fit) is None
        assert complaint(values.checker(holder), unfit) is not None


def test_a_mapping_or_row_has_a_bound_that_is_checked_before_its_entries() -> None:
    """A row of a hundred thousand texts costs nobody anything."""
    check = values.checker(tuple[values.Word, ...])

    with pytest.raises(values.Unfit, match="at most 20000 entries"):
        check(("a\x00",) * 100_000)
