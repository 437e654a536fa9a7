"""A Sealward for the tests of one module, and a fresh one for a test that changes much."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Running, running, until

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
    """Yield the running topology, whose node has reported its servers. Whoever breaks it lets it heal."""
    folder = Path(tempfile.mkdtemp(prefix="sw-", dir="/tmp"))
    folder.chmod(0o755)
    made = Stack(folder, BRISK)
    try:
        made.start()
        until(lambda: len(made.ask("GET", "/v1/server")[1]["servers"]) == 4, 30)
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
