"""The control plane's own small tables, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sealward.commands.control import ControlDatabase, ControlPlace, SqliteControl
from sealward.commands.postgres import PostgresControl


@pytest.fixture(params=["sqlite", "postgres"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlDatabase]:
    """Yield empty tables."""
    if request.param == "sqlite":
        made: ControlDatabase = SqliteControl(tmp_path / "control.sqlite")
    else:
        made = PostgresControl(request.getfixturevalue("database"))
    yield made
    made.close()


def test_a_place_never_goes_back(control: ControlDatabase) -> None:
    """Not even when a relay that has lost its lead comes late."""
    place = ControlPlace(control, "relay")
    assert place.load() == 0
    for position in (5, 20, 15):
        place.keep(position)

    assert place.load() == 20
