"""What schemathesis makes up, asked of an API over PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from amounts import examples
from fuzzing import findings

from stack.sealward import Stack


@pytest.mark.more
def test_schemathesis_finds_nothing_over_postgresql(stack: Stack, tmp_path: Path) -> None:
    """What one database takes the other may not: NUL in a text, a number beyond its type."""
    assert findings(stack.apis["api-1"], stack.token, tmp_path, examples=examples(20)) == ""
