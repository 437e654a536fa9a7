"""A world for the cases: two nodes, whose weather is fine until a case says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from simulation import truths
from simulation.host import Host
from simulation.world import World

from sealward.commands import messages as ask


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return two nodes whose agents know everything."""
    made = World(0, tmp_path, truths.always)
    made.boot()
    made.settle()
    yield made
    made.close()


@pytest.fixture
def host(world: World) -> Host:
    """Return an active node whose first server is signed."""
    host = world.hosts[0]
    world.create(host.server_ids[0])
    world.handle(world.switch(host, ask.ActivateNode))
    world.settle()
    return host
