"""SQL kept in named blocks of .sql files: `-- name: sign-by-server` heads a block, comments may follow it."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Final, LiteralString

COMMENT: Final = re.compile(r"^--.*\n?", re.MULTILINE)
"""A line of comment. It is taken out: a `?` or `:name` in it would count as a placeholder."""


def blocks(package: str, file: str) -> dict[str, LiteralString]:
    """Return the blocks of a .sql file of a package by name; they are as literal as if they stood in code."""
    folder = import_module(package).__path__[0]
    # The start gate waits for this. importlib.resources and pathlib would take more than half of the time.
    with open(f"{folder}/{file}", encoding="utf-8") as read:  # noqa: PTH123 - see above
        text = read.read()
    parts = re.split(r"^-- name: *(\S+) *$", text, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: COMMENT.sub("", body).strip() for name, body in pairs}
