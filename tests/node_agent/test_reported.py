"""What a node reported of its servers, and what of that is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from running import DATABASE, WEB

from sealward.events.is_valid import IsValid
from sealward.node_agent.validation.comparison import EQUAL
from sealward.node_agent.validation.reported import Reported

if TYPE_CHECKING:
    from sealward.node_agent.validation.comparison import Comparison


@dataclass
class Result:
    """The part of a comparison that is remembered."""

    result: str
    verdict: IsValid
    jobs: tuple[str, ...] = ()
    reference: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(server_id=WEB))

    @property
    def measured(self) -> SimpleNamespace:
        """The block jobs, as a measurement has them."""
        return SimpleNamespace(measurement=SimpleNamespace(jobs=self.jobs))


def compared(result: str, verdict: IsValid, *jobs: str) -> Comparison:
    """Return a comparison of one server."""
    return cast("Comparison", Result(result, verdict, jobs))


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SAME = compared(EQUAL, IsValid.TRUE)
OTHER = compared("digests", IsValid.FALSE)
DOUBTED = compared("digests", IsValid.UNKNOWN)


@pytest.mark.parametrize("found", [SAME, OTHER, DOUBTED])
def test_what_was_never_reported_is_news(found: Comparison) -> None:
    """For each result."""
    assert not Reported().is_recorded(found)


def test_a_result_is_recorded_when_the_verdict_agrees() -> None:
    """A false that was reported and not recorded is reported again: the report may be lost."""
    reported = Reported()
    reported.note_comparison(OTHER)
    before = reported.is_recorded(OTHER)
    reported.note_verdict(WEB, IsValid.FALSE)
    after = reported.is_recorded(OTHER)
    reported.note_comparison(SAME)
    equal_before = reported.is_recorded(SAME)
    reported.note_verdict(WEB, IsValid.TRUE)

    assert (before, after) == (False, True)
    assert (equal_before, reported.is_recorded(SAME)) == (False, True)


def test_a_doubt_needs_no_recorded_false() -> None:
    """It is reported once, whichever verdict was recorded before."""
    reported = Reported()
    reported.note_comparison(DOUBTED)
    before = reported.is_recorded(DOUBTED)
    reported.note_verdict(WEB, IsValid.FALSE)

    assert (before, reported.is_recorded(DOUBTED)) == (True, True)


def test_the_control_planes_state_takes_the_place_of_what_was_reported() -> None:
    """Servers that it has as equal are no news; every other result is."""
    reported = Reported()
    reported.note(DATABASE, "file-missing")
    reported.begin([WEB], [DATABASE])

    assert reported.is_recorded(SAME)
    assert reported.result(DATABASE) is None


def test_block_jobs_that_begin_or_end_are_news() -> None:
    """None run before the first report."""
    reported = Reported()
    copying = compared(EQUAL, IsValid.TRUE, "vda: copy")
    first = reported.has_other_jobs(SAME), reported.has_other_jobs(copying)
    reported.note_comparison(copying)

    assert first == (False, True)
    assert (reported.has_other_jobs(copying), reported.has_other_jobs(SAME)) == (False, True)


def test_a_server_that_is_forgotten_is_new() -> None:
    """Its result, its verdict, its jobs and its difference are gone."""
    reported = Reported()
    copying = compared("digests", IsValid.FALSE, "vda: copy")
    reported.note_comparison(copying)
    reported.note_verdict(WEB, IsValid.FALSE)
    reported.note_difference(WEB, is_different=True)
    was_different = reported.is_different(WEB)
    reported.forget(WEB)

    assert was_different
    assert not reported.is_different(WEB)
    assert not reported.is_recorded(copying)
    assert reported.has_other_jobs(copying)


def test_a_change_that_was_undone_is_told_once_a_minute() -> None:
    """Of each server by itself: a guest or a script cannot write the log faster."""
    reported = Reported()
    told = [reported.may_tell_of_change_back(WEB, NOON + timedelta(seconds=second)) for second in range(180)]

    assert sum(told) == 3
    assert reported.may_tell_of_change_back(DATABASE, NOON)


def test_a_change_that_was_seen_is_not_told_as_undone() -> None:
    """The agent has just reported a result: that was the change."""
    reported = Reported()
    reported.note_news(WEB, NOON)

    assert not reported.may_tell_of_change_back(WEB, NOON + timedelta(seconds=0.5))
    assert reported.may_tell_of_change_back(WEB, NOON + timedelta(seconds=1.5))
