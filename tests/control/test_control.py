"""The control plane's own small tables, the same on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sealward.control.database import ControlDatabase, ControlPosition, SqliteControl
from sealward.control.postgres import PostgresControl
from sealward.events.store.round_trip import Prefetch


@pytest.fixture(params=["sqlite", "postgres"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlDatabase]:
    """Yield empty tables."""
    if request.param == "sqlite":
        made: ControlDatabase = SqliteControl(tmp_path / "control.sqlite")
    else:
        made = PostgresControl(request.getfixturevalue("database"))
    yield made
    made.close()


PREFETCH = "SELECT name, position FROM places WHERE name = %s"


@pytest.mark.parametrize("digest", ["digest", "unknown"])
@pytest.mark.parametrize("place", ["relay", "unknown"])
def test_two_questions_are_answered_each_by_itself(database: str, digest: str, place: str) -> None:
    """In one round trip: what one does not find says nothing of the other."""
    control = PostgresControl(database)
    control.run("issue", ("alice", "digest", "admin", "2026-01-01", None))
    control.run("keep-place", ("relay", 5))
    prefetch = Prefetch(PREFETCH, (place,))
    found = control.find("token-by-digest", (digest,), prefetch)
    control.close()

    assert found == (("alice", "admin", "2026-01-01", None) if digest == "digest" else None)
    assert prefetch.answers(place)
    assert prefetch.row == ({"name": "relay", "position": 5} if place == "relay" else None)


def test_a_question_that_nothing_took_along_is_not_answered(tmp_path: Path) -> None:
    """SQLite answers the first query alone, and the caller runs the second query by itself."""
    control = SqliteControl(tmp_path / "control.sqlite")
    prefetch = Prefetch(PREFETCH, ("relay",))
    found = control.find("token-by-digest", ("digest",), prefetch)
    control.close()

    assert found is None
    assert not prefetch.answers("relay")


def test_a_place_never_goes_back(control: ControlDatabase) -> None:
    """Not even when a relay that has lost its lead comes late."""
    place = ControlPosition(control, "relay")
    assert place.load() == 0
    for position in (5, 20, 15):
        place.keep(position)

    assert place.load() == 20
