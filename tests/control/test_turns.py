"""The last turns and the counts of what nobody answers for, on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealward.control import unproven as counts
from sealward.control.database import ControlDatabase, SqliteControl
from sealward.control.postgres import PostgresControl
from sealward.control.turns import LastTurns
from sealward.control.unproven import Unproven
from sealward.protocol.turn import Turn

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlDatabase]:
    """Yield empty tables."""
    made: ControlDatabase
    if request.param == "sqlite":
        made = SqliteControl(tmp_path / "control.sqlite")
    else:
        made = PostgresControl(request.getfixturevalue("database"))
    yield made
    made.close()


def test_a_turn_never_goes_back(control: ControlDatabase) -> None:
    """By boot first, then by number; each key for itself."""
    turns = LastTurns(control)
    turns.keep({"a": Turn(2, 5), "b": Turn(1, 1)})
    turns.keep({"a": Turn(1, 9), "b": Turn(1, 2)})
    turns.keep({"a": Turn(2, 4)})
    turns.keep({})

    assert turns.of({"a", "b", "c"}) == {"a": Turn(2, 5), "b": Turn(1, 2)}
    turns.keep({"a": Turn(3, 1), "c": Turn(2**53 - 1, 2**53 - 1)})
    assert turns.of(["a", "c"]) == {"a": Turn(3, 1), "c": Turn(2**53 - 1, 2**53 - 1)}
    assert turns.of(()) == {}


def test_what_nobody_answers_for_is_counted_at_most_once_a_second(control: ControlDatabase) -> None:
    """What waits is written with the next call after that."""
    seconds = [0.0]
    found = Unproven(control, lambda: NOW, lambda: seconds[0])
    found.add({("node.kvm1", "report.not-newer"): 3, ("", "report.no-sender"): 1})
    found.add({("node.kvm1", "report.not-newer"): 4})
    assert {(one.sender, one.reason): one.messages for one in found.all()} == {
        ("node.kvm1", "report.not-newer"): 3,
        ("", "report.no-sender"): 1,
    }
    seconds[0] = 1.0
    found.add({})
    (first, *_) = (one for one in found.all() if one.sender)
    assert (first.messages, first.first_at, first.last_at) == (7, NOW, NOW)


def test_the_table_of_counts_is_bounded(control: ControlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were counted last are kept."""
    monkeypatch.setattr(counts, "ROWS", 10)
    clock = iter(range(100))
    found = Unproven(control, lambda: NOW.replace(minute=next(clock)), iter(range(100)).__next__)
    for number in range(30):
        found.add({(f"node.{number}", "x"): 1})

    assert [one.sender for one in found.all()] == [f"node.{number}" for number in range(29, 19, -1)]
