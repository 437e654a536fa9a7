"""A `sealward run` of its own process, for who attacks the API from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Process, started


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Process]:
    """Return a fresh process."""
    with started(tmp_path) as process:
        yield process


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Return a process that the tests of a module share."""
    with started(tmp_path_factory.mktemp("standing")) as process:
        yield process
