"""A Sealward for the tests of one module, and a fresh one for a test that changes much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Running, running


@pytest.fixture
def sealward(tmp_path: Path) -> Iterator[Running]:
    """Return a fresh Sealward."""
    with running(tmp_path) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a Sealward that the tests of a module share."""
    with running(tmp_path_factory.mktemp("shared")) as one:
        yield one
