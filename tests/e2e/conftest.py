"""A Sealward for the tests of one module, and a fresh one for a test that changes much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Running, running
from topology import topology

from stack.sealward import Stack

BRISK = {"SEALWARD_LEASE": "3", "SEALWARD_SWEEP_INTERVAL": "2"}


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


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Yield the running topology, whose node has reported its servers. A test that breaks it lets it heal."""
    with topology(BRISK | {"SEALWARD_CELERY_CLIENTS": "celery-client"}) as made:
        yield made
