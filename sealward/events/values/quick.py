"""Checks that are written as Python source and compiled: one function for each class or collection.

A check that loops over the fields of a class costs more than all that it finds: it looks up each field's
name, calls a function, and nearly all values are fit. A compiled check has the names in its source, and for
each value a condition that needs no call (`Quick`). Only where the condition does not hold, the check of that
value is called: it decides, and says what is wrong. ADR 53.
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
"""The quick condition of each check that has one."""


def or_none(quick: Quick | None) -> Quick:
    """Return the condition that holds for None, and where there is another condition, where that holds."""
    return (
        Quick("{v} is None")
        if quick is None
        else Quick(f"{{v}} is None or {quick.condition}", quick.operands)
    )


class Source:
    """The source of a check: lines that are added one by one, and the objects that they name."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._objects: dict[str, Any] = {"_at": _at}

    def add(self, line: str, *operands: object) -> None:
        """Add a line of the function's body; `{0}`, `{1}` and so on stand for the operands."""
        self._lines.append(line.format(*map(self._name, operands)))

    def check(self, variable: str, one: Check, where: str, indent: str = "") -> None:
        """Add the lines that check a variable, whose value is at `where` in the value that is checked."""
        quick = QUICK.get(one)
        if quick is not None:
            condition = quick.condition.format(*map(self._name, quick.operands), v=variable)
            self._lines.append(f"{indent}if not ({condition}):")
            indent += "    "
        self.add(f"{indent}_at({{0}}, {{1}}, {variable})", where, one)

    def compiled(self) -> Check:
        """Return the function, whose one argument is `value`."""
        body = "".join(f"    {line}\n" for line in self._lines or ["pass"])
        text = f"def check(value):\n{body}"
        exec(compile(text, "<check>", "exec"), self._objects)  # noqa: S102 - made of names of fields and of `Quick`s alone
        made: Check = self._objects["check"]
        return made

    def _name(self, operand: object) -> str:
        name = f"_{len(self._objects)}"
        self._objects[name] = operand
        return name


def _at(where: str, check: Check, value: Any) -> None:  # noqa: ANN401 - it is what is checked
    """Check a value that is at `where` in a larger one. Raises Unfit, with the whole path."""
    try:
        check(value)
    except Unfit as unfit:
        raise unfit.inside(where) from None
