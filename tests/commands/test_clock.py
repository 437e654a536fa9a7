"""How far the clock of a node may be off, to the smallest step of time."""

from __future__ import annotations

from datetime import UTC, datetime

from sealward.commands.clock import TICK, TOLERANCE, dated, is_future, is_overtaken

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_a_clock_may_be_ahead_by_the_tolerance_and_no_further() -> None:
    """A time beyond that is refused."""
    assert not is_future(NOW + TOLERANCE, NOW)
    assert is_future(NOW + TOLERANCE + TICK, NOW)


def test_a_time_that_is_earlier_by_the_tolerance_is_late() -> None:
    """An earlier time still means that the clock was set back, and counts as later."""
    assert is_overtaken(NOW, NOW)
    assert is_overtaken(NOW - TOLERANCE, NOW)
    assert not is_overtaken(NOW - TOLERANCE - TICK, NOW)
    assert not is_overtaken(NOW + TICK, NOW)


def test_a_difference_of_a_wrong_clock_is_dated_after_what_is_known() -> None:
    """A time ahead becomes now; a clock that was set back gives the next step of time."""
    assert dated(NOW + TOLERANCE + TICK, NOW, NOW) == NOW
    assert dated(NOW - TOLERANCE - TICK, NOW, NOW) == NOW + TICK
    assert dated(NOW - TOLERANCE, NOW, NOW) == NOW - TOLERANCE
