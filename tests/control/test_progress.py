"""How far nodes are with the files that tasks wait for, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealward.control.database import ControlDatabase, SqliteControl
from sealward.control.postgres import PostgresControl
from sealward.control.progress import BELIEVED_FOR, Progress
from sealward.protocol import reports

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ONE = reports.ReadProgress("one", 10, 2**40, 5)
TWO = reports.ReadProgress("two", 0, 30)


@pytest.fixture(params=["sqlite", "postgres"])
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlDatabase]:
    """Yield empty tables."""
    if request.param == "sqlite":
        made: ControlDatabase = SqliteControl(tmp_path / "control.sqlite")
    else:
        made = PostgresControl(request.getfixturevalue("database"))
    yield made
    made.close()


def _said(*readings: reports.ReadProgress, hostname: str = "kvm1") -> reports.Progress:
    return reports.Progress(hostname=hostname, readings=readings)


def test_what_a_node_says_last_is_all_that_counts(control: ControlDatabase) -> None:
    """A server it says nothing of any more is not being read; another node's word is its own."""
    progress = Progress(control)
    progress.hear([_said(ONE, TWO), _said(ONE, hostname="kvm2"), reports.Heartbeat(hostname="kvm1")], NOON)
    assert progress.of("kvm1", "one", NOON) == ONE
    progress.hear([_said(ONE), _said(TWO)], NOON)
    found = [progress.of(host, server, NOON) for host in ("kvm1", "kvm2") for server in ("one", "two")]

    assert found == [None, TWO, ONE, None]


def test_nothing_is_left_of_what_is_over(control: ControlDatabase) -> None:
    """The table does not grow."""
    progress = Progress(control)
    progress.hear([_said(ONE)], NOON)
    progress.hear([_said()], NOON)

    assert progress.of("kvm1", "one", NOON) is None
    assert control.run("progress", ("kvm1",))[0] == []


def test_a_node_that_falls_silent_is_not_believed_for_long(control: ControlDatabase) -> None:
    """It may have been switched off in the middle of it."""
    progress = Progress(control)
    progress.hear([_said(ONE)], NOON)

    assert progress.of("kvm1", "one", NOON + BELIEVED_FOR - timedelta(seconds=1)) == ONE
    assert progress.of("kvm1", "one", NOON + BELIEVED_FOR) is None
