"""What a node keeps on its disk."""

from __future__ import annotations

import itertools
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from sealward.node_agent.ledger.ledger import BACK, Entry, Ledger

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def test_entries_survive_a_restart(tmp_path: Path) -> None:
    """Put, replaced, removed; the file is for its owner alone."""
    ledger = Ledger(tmp_path / "ledger")
    ledger.put(Entry("a", 1, 1, "{}"))
    ledger.put(Entry("b", 2, 1, "{}"))
    ledger.remove("a")
    ledger.close()
    again = Ledger(tmp_path / "ledger")
    kept = again.entries()
    again.replace_all([Entry("c", 3, 1, "{}")])
    replaced = again.entries()
    again.close()

    assert kept == [Entry("b", 2, 1, "{}")]
    assert replaced == [Entry("c", 3, 1, "{}")]
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o600


@given(st.permutations([(1, 1), (1, 2), (1, 3), (4, 1), (4, 2)]))
def test_the_newest_generation_stays_whatever_the_order(arrivals: list[tuple[int, int]]) -> None:
    """An old envelope that arrives late does not come back into force."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger")
        for sign_id, generation in arrivals:
            ledger.put(Entry("a", sign_id, generation, "{}"))
        kept = ledger.entries()
        ledger.close()

    assert kept == [Entry("a", 4, 2, "{}")]


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.booleans()), min_size=1, max_size=20))
def test_moments_grow_unless_the_clock_was_wrong(readings: list[tuple[int, bool]]) -> None:
    """Also when the clock goes back a little, and across restarts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        ledger = Ledger(path)
        moments = []
        for seconds, restart in readings:
            moments.append(ledger.next_moment(NOON + timedelta(seconds=seconds)))
            if restart:
                ledger.close()
                ledger = Ledger(path)
        ledger.close()

    assert all(before < after or before - after > BACK for before, after in itertools.pairwise(moments))
    said = zip(moments, readings, strict=True)
    assert all(abs(moment - NOON - timedelta(seconds=seconds)) <= 2 * BACK for moment, (seconds, _) in said)
