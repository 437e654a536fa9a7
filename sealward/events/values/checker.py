"""Checks of classes, unions and collections, composed of the checks of their fields and entries."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from sealward.events.values.json_value import check_json
from sealward.events.values.named import BESIDE
from sealward.events.values.quick import QUICK, Check, Quick, Source, or_none
from sealward.events.values.rule import DEFAULTS, MANY, Entries, Rule, anything
from sealward.events.values.unfit import Unfit


def check(value: object) -> None:
    """Make sure that all fields of a dataclass or Struct are of their types. Raises Unfit."""
    kind: Any = type(value)
    checker(kind)(value)


@functools.cache
def checker(kind: Any) -> Check:  # noqa: ANN401 - any annotation
    """Return the check of a type: a function that raises Unfit for a value that is not of the type."""
    rule, bare = taken_apart(kind)
    if isinstance(rule, Entries):
        return _composed(bare, rule.most)
    return _composed(bare, MANY) if rule is None else rule.check()


def taken_apart(kind: Any) -> tuple[Rule | None, Any]:  # noqa: ANN401 - as above
    """Return the rule that an annotation has, if any, and the type that it is about."""
    if typing.get_origin(kind) is not Annotated:
        return DEFAULTS.get(kind), kind
    bare, *more = typing.get_args(kind)
    return next((one for one in more if isinstance(one, Rule)), DEFAULTS.get(bare)), bare


def _composed(kind: Any, most: int) -> Check:  # noqa: ANN401 - as above
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_structured(kind):
        return _fields(kind)
    if origin in (types.UnionType, typing.Union):
        return _either(arguments)
    if origin in (tuple, frozenset, list, set):
        is_row = origin is tuple and arguments[-1] is not Ellipsis
        return _row(tuple(map(checker, arguments))) if is_row else _many(origin, checker(arguments[0]), most)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(checker(arguments[0]), checker(arguments[1]), most)
    return _checked_by_itself(kind)


def _checked_by_itself(kind: Any) -> Check:  # noqa: ANN401 - as above
    """Return the check of a type that bounds its values by itself (an enum), or of any JSON value."""
    if kind in (Any, object):
        return check_json
    if kind in (bool, bytes, types.NoneType, msgspec.Raw):
        return anything
    if typing.get_origin(kind) is typing.Literal:
        return _choice(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(kind)
    raise TypeError(f"{kind}: no rule for such values")


def is_structured(kind: Any) -> bool:  # noqa: ANN401 - as above
    """Say whether values of a type have fields."""
    return dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def fields_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a class
    """Return the annotations of a dataclass or Struct by name of field."""
    names = (
        [one.name for one in dataclasses.fields(kind)]
        if dataclasses.is_dataclass(kind)
        else list(kind.__struct_fields__)
    )
    hints = typing.get_type_hints(kind, include_extras=True)
    beside = BESIDE.get(kind, {})
    return {name: beside.get(name, hints[name]) for name in names}


def _fields(kind: Any) -> Check:  # noqa: ANN401 - as above
    source = Source()
    for name, hint in fields_of(kind).items():
        if (one := checker(hint)) is not anything:
            source.add(f"v = value.{name}")
            source.check("v", one, f".{name}")
    return source.compiled()


def _choice(choices: tuple[Any, ...]) -> Check:
    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if value not in choices:
            raise Unfit(f"must be one of {', '.join(map(str, choices))}")

    return check


def _member(kind: type[enum.Enum]) -> Check:
    check = _choice(tuple(kind))
    QUICK[check] = Quick("type({v}) is {0}", (kind,))
    return check


def _either(kinds: tuple[Any, ...]) -> Check:
    """Return the check of a union: of None and a type, or of classes. A value's class selects its check."""
    others = [one for one in kinds if one is not types.NoneType]
    if len(others) > 1:
        return _of_its_class
    inner = checker(others[0])
    if inner is anything:
        return anything

    def check(value: Any) -> None:  # noqa: ANN401 - as above
        if value is not None:
            inner(value)

    QUICK[check] = or_none(QUICK.get(inner))
    return check


def _of_its_class(value: Any) -> None:  # noqa: ANN401 - as above
    if value is not None:
        check(value)


def _row(checks: tuple[Check, ...]) -> Check:
    source = Source()
    names = [f"v{number}" for number in range(len(checks))]
    source.add(f"({', '.join(names)},) = value")
    for name, one in zip(names, checks, strict=True):
        if one is not anything:
            source.check(name, one, "[*]")
    return source.compiled()


def _many(kind: type, inner: Check, most: int) -> Check:
    source = _bounded(most)
    if inner is not anything:
        source.add("for v in value:")
        source.check("v", inner, "[*]", "    ")
    return _quick_when_empty(source.compiled(), kind)


def _mapping(of_key: Check, of_value: Check, most: int) -> Check:
    source = _bounded(most)
    source.add("for key, v in value.items():")
    source.add("    pass")
    for name, one in (("key", of_key), ("v", of_value)):
        if one is not anything:
            source.check(name, one, ".*", "    ")
    return _quick_when_empty(source.compiled(), dict)


def _bounded(most: int) -> Source:
    """Return the first lines of the check of a collection: they bound the number of entries."""
    source = Source()
    source.add("if len(value) > {0}:", most)
    source.add("    raise {0}({1})", Unfit, f"must have at most {most} entries")
    return source


def _quick_when_empty(check: Check, kind: type) -> Check:
    QUICK[check] = Quick("type({v}) is {0} and not {v}", (kind,))
    return check
