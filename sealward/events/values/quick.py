"""Checks that are written as Python source and compiled: one function for each class or collection.

A check that loops over the fields of a class looks up each field's name and calls a function for each value,
although nearly all values are fit. A compiled check has the names in its source, and for each value a
condition that needs no call (`Quick`). Only when the condition is false, the check of that value is called:
it decides, and raises the error. ADR 53.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sealward.events.values.unfit import Unfit

Check = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Quick:
    """A condition in Python: a value for which it holds passes the check that the condition belongs to.

    `{v}` in `condition` stands for the value; `{0}`, `{1}` and so on stand for the `operands`.
    """

    condition: str
    operands: tuple[object, ...] = ()


QUICK: Final[dict[Check, Quick]] = {}
"""The quick conditions, by check. Not every check has a quick condition."""


def or_none(quick: Quick | None) -> Quick:
    """Return a condition that holds for None, and for each value that the given condition holds for."""
    return (
        Quick("{v} is None")
        if quick is None
        else Quick(f"{{v}} is None or {quick.condition}", quick.operands)
    )


class Source:
    """The source of a check: lines of Python, and the objects that the lines name."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._objects: dict[str, Any] = {"_at": _at}

    def add(self, line: str, *operands: object) -> None:
        """Add a line of the function's body; `{0}`, `{1}` and so on stand for the operands."""
        self._lines.append(line.format(*map(self._name, operands)))

    def check(self, variable: str, one: Check, where: str, indent: str = "") -> None:
        """Add the lines that check a variable. `where` is the path of its value in the whole value."""
        quick = QUICK.get(one)
        if quick is not None:
            condition = quick.condition.format(*map(self._name, quick.operands), v=variable)
            self._lines.append(f"{indent}if not ({condition}):")
            indent += "    "
        self.add(f"{indent}_at({{0}}, {{1}}, {variable})", where, one)

    def compiled(self) -> Check:
        """Return the compiled check: a function of the argument `value`."""
        body = "".join(f"    {line}\n" for line in self._lines or ["pass"])
        text = f"def check(value):\n{body}"
        exec(compile(text, "<check>", "exec"), self._objects)  # noqa: S102 - made of names of fields and of `Quick`s alone
        made: Check = self._objects["check"]
        return made

    def _name(self, operand: object) -> str:
        name = f"_{len(self._objects)}"
        self._objects[name] = operand
        return name


def _at(where: str, check: Check, value: Any) -> None:  # noqa: ANN401 - any value is checked
    """Check a value that is at the path `where` in a larger value. Raises Unfit with the whole path."""
    try:
        check(value)
    except Unfit as unfit:
        raise unfit.inside(where) from None
