"""Files, functions and folders stay small enough to be read. A larger file hides a concept without a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = ("sealward", "stack", "tests")
LINES: Final = 400
"""Most lines of a file."""
FUNCTION: Final = 60
"""Most lines of a function."""
MODULES: Final = 16
"""Most modules of a folder of the package."""
LONGER: Final = {
    "tests/hypervisor/test_migration.py": "all of its tests drive the same two libvirtds and agents",
    "tests/simulation/world.py": "the steps of a history read and change all of the world's state",
}
"""Files that may be longer, with the reason."""


def sources() -> Iterator[Path]:
    """Yield all files of Python in the rooms and their tests."""
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the path of a file or folder from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> int:
    """Return the number of lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_longer_than_400_lines() -> None:
    """A longer file is split by subject, or named above with the reason why it is not."""
    longer = [name_of(path) for path in sources() if lines_of(path) > LINES]

    assert [name for name in longer if name not in LONGER] == []


def test_no_function_is_longer_than_60_lines() -> None:
    """Counted from `def` to the last line."""
    longer = [
        f"{name_of(path)}:{one.lineno} {one.name}"
        for path in sources()
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(one, ast.FunctionDef) and (one.end_lineno or 0) - one.lineno + 1 > FUNCTION
    ]

    assert longer == []


@pytest.mark.parametrize("room", ["sealward", "stack"])
def test_no_folder_has_more_than_16_modules(room: str) -> None:
    """A larger folder is grouped by noun or by step."""
    folders = {path.parent for path in (ROOT / room).rglob("*.py")}
    larger = [
        name_of(folder)
        for folder in sorted(folders)
        if len([one for one in folder.glob("*.py") if one.name != "__init__.py"]) > MODULES
    ]

    assert larger == []
