"""Histories, each drawn from a seed: SEALWARD_SIMULATION_SEEDS=17 replays one of each kind, .ci/run 0-999."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import amounts
import pytest
from simulation import truths
from simulation.world import World

from sealward.node_agent.agent import ANEW

SEEDS = amounts.seeds("SEALWARD_SIMULATION_SEEDS", "0-49", "0-999")
AT_ONCE = 25
MEMORY = Path("/dev/shm")  # noqa: S108 - only a faster place for the same private folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder, in memory where there is one: a ledger waits for its disk."""
    made = Path(tempfile.mkdtemp(prefix="sw-sim-", dir=MEMORY if MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


def seeds() -> list[list[int]]:
    """Return the seeds, so many to a test."""
    return [list(SEEDS[at : at + AT_ONCE]) for at in range(0, len(SEEDS), AT_ONCE)]


@pytest.mark.parametrize("some", seeds(), ids=lambda some: f"seeds-{some[0]}-{some[-1]}")
def test_histories_end_well(some: list[int], folder: Path) -> None:
    """Messages are lost, doubled or late, processes killed: no verdict lies, and in the end all is right."""
    replay(some, folder, live, calm=False)


@pytest.mark.parametrize("some", seeds(), ids=lambda some: f"seeds-{some[0]}-{some[-1]}")
def test_calm_histories_wait_for_no_sweep(some: list[int], folder: Path) -> None:
    """Where nothing is lost and nobody dies, all is as it should be as soon as all has arrived."""
    replay(some, folder, live_calmly, calm=True)


def replay(some: list[int], folder: Path, live: Callable[[World], None], *, calm: bool) -> None:
    """Live the histories of these seeds; of one that ends badly tell everything."""
    for seed in some:
        place = folder / str(seed)
        place.mkdir()
        world = World(seed, place, truths.always, calm=calm)
        try:
            live(world)
        except Exception as failed:  # noqa: BLE001 - whatever it is, the seed must be told
            trace = "\n".join(world.trace)
            pytest.fail(
                f"{trace}\n{type(failed).__name__}: {failed}\n"
                f"SEALWARD_SIMULATION_SEEDS={seed} python -m pytest tests/simulation",
                pytrace=True,
            )


def live(world: World) -> None:
    """Live one history to its end, and hold it against the truth."""
    try:
        world.live()
        lossy = world.network.weather.lost_events > 0
        world.rest(ANEW + 2 if lossy else 2)
        world.activate()
        world.rest(2)
        world.order_again()
        truths.in_the_end(world)
    finally:
        world.close()


def live_calmly(world: World) -> None:
    """Live one history in which nothing is lost, and hold it against the truth before anybody looks again."""
    try:
        world.live_calmly()
        world.settle()
        truths.at_once(world)
        world.heal()
        world.order_again()
        truths.verdicts(world)
        truths.orders(world)
        truths.tasks(world)
        truths.inventory(world)
    finally:
        world.close()
