"""A `sealward run` in a process of its own, and the whole topology, for attacks from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Process, started
from topology import topology

from stack.sealward import Stack

SETTINGS = {
    "SEALWARD_LEASE": "10",
    "SEALWARD_WAIT": "12",
    "SEALWARD_CELERY_CLIENTS": "celery-evil,celery-honest",
}
"""What the attacks on the topology need: a lease that is soon over, and writes that wait for long."""


@pytest.fixture(scope="session")
def attacked() -> Iterator[Stack]:
    """Yield the topology that the attacks share. Each test file has nodes and users of its own there."""
    with topology(SETTINGS) as made:
        yield made


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
