"""docs/security.md says what each actor can and cannot do: every line names the tests that show it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ACTORS = ("Tenant", "Local user of a node", "Node", "Broker user", "Operator", "Database", "Network")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def sections() -> dict[str, str]:
    """Return the text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[str]:
    """Return the rows of the tables of a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if not re.match(r"^\|(-|:)|^\| *(can|cannot) *\|", line)]


@cache
def functions_of(path: str) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))


@pytest.mark.parametrize("actor", ACTORS)
def test_every_actor_has_what_it_can_and_what_it_cannot(actor: str) -> None:
    """A section without both tables says half of the truth."""
    text = sections()[actor]
    assert "| cannot |" in text
    assert "| can |" in text
    assert rows(text)


@pytest.mark.parametrize("actor", ACTORS)
def test_every_line_names_its_test(actor: str) -> None:
    """A line without a test is a promise that nobody keeps."""
    for row in rows(sections()[actor]):
        assert NAMED.search(row), row


def test_every_test_that_is_named_is_there() -> None:
    """A test that was renamed takes its line with it."""
    for path, name in NAMED.findall(PAGE):
        assert name in functions_of(path), f"{path}::{name}"
