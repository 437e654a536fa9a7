"""Pauses grow, bear jitter, and obey the receiver within a bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sealward.control.webhooks import schedule


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_pause_is_within_its_bounds(failures: int, chance: float, asked: float | None) -> None:
    """Never shorter than the receiver asks for, up to an hour; never longer than an hour and its jitter."""
    found = schedule.pause(failures, chance, asked).total_seconds()
    least = min(asked or 0.0, schedule.LONGEST_ASKED)

    assert (
        max(schedule.PAUSES[0], least) * 0.999
        <= found
        <= schedule.LONGEST_ASKED * (1 + schedule.JITTER) * 1.001
    )


def test_the_pauses_grow() -> None:
    """Five seconds first, five minutes at last."""
    found = [schedule.pause(failures, 0.0).total_seconds() for failures in range(1, 7)]

    assert found == [5.0, 30.0, 120.0, 300.0, 300.0, 300.0]
