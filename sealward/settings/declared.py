"""A setting is declared once: variable, kind, default and meaning stand on the field that holds its value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sealward.settings.kinds import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed import DataclassInstance

Value = TypeVar("Value")
Default = TypeVar("Default")
Group = TypeVar("Group", bound="DataclassInstance")

_DECLARED: Final = "declared"


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting as an operator sees it."""

    name: str
    """The environment variable."""
    kind: Callable[[str, str], object]
    """From the variable's name and text to its value. Raises SettingRefused."""
    default: str
    """The default in words."""
    meaning: str
    secret: bool
    """Whether a file that NAME_FILE names may hold the value; the value is kept out of every repr."""


def setting(  # noqa: PLR0913 - the parts of a declaration
    name: str,
    kind: Callable[[str, str], Value],
    default: Default,
    meaning: str,
    *,
    shown: str | None = None,
    secret: bool = False,
) -> Value | Default:
    """Return the field of a setting; `shown` describes a default that its value does not explain."""
    declared = Declared(name, kind, _in_words(default) if shown is None else shown, meaning, secret)
    field: Any = dataclasses.field(default=default, repr=not secret, metadata={_DECLARED: declared})
    found: Value | Default = field
    return found


def read(group: type[Group], env: Mapping[str, str]) -> Group:
    """Return the settings of a class, and of the classes in its fields. Raises SettingRefused."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(group):
        declared = field.metadata.get(_DECLARED)
        if declared is not None:
            values[field.name] = _value(declared, field.default, env)
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = read(type(field.default_factory()), env)
    return group(**values)


def declared_by(group: type[DataclassInstance]) -> Iterator[Declared]:
    """Yield the settings of a class, and of the classes in its fields, as they are declared."""
    for field in dataclasses.fields(group):
        if _DECLARED in field.metadata:
            yield field.metadata[_DECLARED]
        elif field.default_factory is not dataclasses.MISSING:
            yield from declared_by(type(field.default_factory()))


def declared_of(field: dataclasses.Field[Any]) -> Declared | None:
    """Return the setting that a field holds; None for a field that holds further settings."""
    found: Declared | None = field.metadata.get(_DECLARED)
    return found


def secret(env: Mapping[str, str], name: str) -> str | None:
    """Return a secret from NAME, or from the file that NAME_FILE names. Raises SettingRefused."""
    file, given = env.get(f"{name}_FILE"), env.get(name)
    if not file:
        return given or None
    if given:
        raise SettingRefused(f"{name} and {name}_FILE: set one of them")
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except OSError as unreadable:
        raise SettingRefused(f"{name}_FILE: the file cannot be read: {unreadable.strerror}") from None
    except UnicodeError:
        raise SettingRefused(f"{name}_FILE: the file is no text") from None


def _value(declared: Declared, default: object, env: Mapping[str, str]) -> object:
    text = secret(env, declared.name) if declared.secret else env.get(declared.name)
    return declared.kind(declared.name, text) if text else default


def _in_words(default: object) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return "`yes`" if default else "`no`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
