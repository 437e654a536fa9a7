"""A part that is away is a few lines in the log: one when it goes, one a minute, one when it is back."""

from __future__ import annotations

import logging

import pytest

from sealward.absences import AGAIN, FORGOTTEN, SETTLES, Absences


class Log:
    """What a process writes, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self._filter = Absences(lambda: self.now)

    def away(self, text: str = "the store is away", part: str = "the store") -> None:
        """Log that a part is away."""
        self._log(text, away=part)

    def back(self, text: str = "the store is back", part: str = "the store") -> None:
        """Log that a part is back."""
        self._log(text, back=part)

    def other(self, text: str) -> None:
        """Log something else."""
        self._log(text)

    def _log(self, text: str, **marks: str) -> None:
        record = logging.LogRecord("test", logging.WARNING, "", 0, "%s", (text,), None)
        record.__dict__ |= marks
        if self._filter.filter(record):
            self.lines.append(record.getMessage())


@pytest.fixture
def log() -> Log:
    """Return an empty log."""
    return Log()


def test_one_line_when_it_goes_one_a_minute_one_when_it_is_back(log: Log) -> None:
    """However many threads meet it."""
    for _ in range(150):
        for _ in range(8):
            log.away()
        log.now += 1
    for _ in range(8):
        log.back()

    assert log.lines == [
        "the store is away",
        "the store is away (it has been away for 60 s)",
        "the store is away (it has been away for 120 s)",
        "the store is back (it was away for 150 s)",
    ]


def test_each_part_has_its_own(log: Log) -> None:
    """A broker that goes is told while the database is away."""
    log.away()
    log.away("the broker is away", "the broker")
    log.back("the broker is back", "the broker")

    assert log.lines[:2] == ["the store is away", "the broker is away"]
    assert len(log.lines) == 3


def test_nothing_else_is_dropped(log: Log) -> None:
    """Messages without a mark pass, the same one twice, too."""
    log.away()
    log.other("a message")
    log.other("a message")

    assert log.lines.count("a message") == 2


def test_a_part_that_never_went_is_not_back(log: Log) -> None:
    """The first connection of a process is no return."""
    log.back()

    assert log.lines == []


def test_threads_that_meet_the_old_absence_late_are_not_heard(log: Log) -> None:
    """For a few seconds after the return; afterwards it is away again."""
    log.away()
    log.now += 10
    log.back()
    log.now += SETTLES / 2
    log.away("an old connection was closed")
    assert len(log.lines) == 2
    log.now += SETTLES
    log.away()
    assert len(log.lines) == 3


def test_an_absence_that_nobody_meets_has_ended(log: Log) -> None:
    """A thread that does not say that a part is back does not silence the next absence."""
    log.away()
    log.now += FORGOTTEN + 1
    log.away("it is away again")

    assert FORGOTTEN < AGAIN
    assert log.lines == ["the store is away", "it is away again"]
