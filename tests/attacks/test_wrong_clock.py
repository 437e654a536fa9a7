"""The start gate and a clock that was wrong: it is believed again, and one that is set back hides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from factories import NOON, SERVER

from sealward.node_agent.gate.decision.dossier import read
from sealward.node_agent.gate.decision.judge import is_stale
from sealward.node_agent.ledger.ledger import BACK, Ledger

WEEK = timedelta(days=7)
YEAR = timedelta(days=366)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return the ledger of an agent that has just heard the control plane."""
    made = Ledger(tmp_path / "ledger.sqlite")
    made.keep_fact("alone-for", str(WEEK.total_seconds()))
    made.next_moment(NOON)
    made.hear(NOON)
    yield made
    made.close()


def refuses(ledger: Ledger, now: datetime) -> bool:
    """Say whether the gate finds the ledger stale, as it decides at `now`."""
    dossier = read(str(ledger.folder), SERVER)
    return is_stale(dossier, max(now, dossier.last_moment or now))


@pytest.mark.parametrize("wrong", [timedelta(minutes=2), WEEK * 2, YEAR])
def test_a_clock_that_was_ahead_is_believed_again(ledger: Ledger, wrong: timedelta) -> None:
    """As soon as the control plane is heard; what is said from then on bears the right time at once."""
    ledger.next_moment(NOON + wrong)
    later = NOON + timedelta(seconds=30)
    moment = ledger.next_moment(later)
    ledger.hear(later)

    assert moment == later
    assert not refuses(ledger, later)
    assert not refuses(ledger, later + WEEK)
    assert refuses(ledger, later + WEEK + timedelta(minutes=1))


def test_a_control_plane_that_is_heard_under_a_wrong_clock_is_heard(ledger: Ledger) -> None:
    """What was written down then is a year ahead, and makes nothing stale before it is heard again."""
    ledger.next_moment(NOON + YEAR)
    ledger.hear(NOON + YEAR)

    assert not refuses(ledger, NOON + timedelta(minutes=1))


def test_a_clock_that_is_set_back_makes_no_stale_ledger_fresh(ledger: Ledger) -> None:
    """The control plane was not heard for too long: that stays so after each change of the clock by root."""
    ledger.next_moment(NOON + WEEK + timedelta(hours=1))
    assert refuses(ledger, NOON + WEEK + timedelta(hours=1))

    assert refuses(ledger, NOON + timedelta(hours=1))
    ledger.next_moment(NOON + timedelta(hours=1))
    assert refuses(ledger, NOON + timedelta(hours=1))


def test_a_step_back_is_bridged(ledger: Ledger) -> None:
    """A clock that is corrected by seconds gives no two things the same time, and none an earlier one."""
    moments = [ledger.next_moment(NOON + timedelta(seconds=one)) for one in (10, 2, 3, 4, 11)]

    assert moments == sorted(set(moments))
    assert moments[-1] - NOON <= timedelta(seconds=10) + BACK


def test_a_ledger_of_before_is_believed_again(tmp_path: Path) -> None:
    """The version before kept one moment for both, and it may be a year ahead."""
    before = Ledger(tmp_path / "ledger.sqlite")
    before.keep_fact("last-moment", (NOON + YEAR).isoformat())
    before.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.keep_fact("alone-for", str(WEEK.total_seconds()))
    moment = ledger.next_moment(NOON)
    ledger.hear(NOON)

    assert moment == NOON
    assert not refuses(ledger, NOON)
    ledger.close()
