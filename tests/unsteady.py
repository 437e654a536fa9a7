"""A test that fails beside others runs once more alone; a test that then passes is named as unsteady.

`make test` runs pytest twice. The first run has several processes and `--keep-failures FILE`: when at most
`MOST` tests failed and each of them can be tried again, it writes their first failures to FILE and ends with
the status `TRY_AGAIN`. The second run, of the tests that run alone, has `--once-more FILE` and includes these
tests. Reasons: ADR 72.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 3
"""How many tests may be unsteady in a run. When more tests fail, something else than time is wrong."""
TRY_AGAIN: Final = 10
"""The exit status of a first run whose failures can all be tried again; pytest's own end at 5."""
PARTS_TRIED_AGAIN: Final = {"setup", "call", "???"}
"""Parts of a test whose failure can be tried again. pytest-xdist reports a process that died as `???`.

A failed teardown stays a failure: it may be the end of a server that other tests have used, which one test
alone does not repeat.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the two runs."""
    group = parser.getgroup("unsteady tests")
    group.addoption("--keep-failures", type=Path, metavar="FILE", help="write the failures to FILE")
    group.addoption("--once-more", type=Path, metavar="FILE", help="run the tests that FILE names, too")


def pytest_configure(config: pytest.Config) -> None:
    """Register what the options ask for, but not in processes of pytest-xdist: they report to this one."""
    if hasattr(config, "workerinput"):
        return
    keep, again = config.option.keep_failures, config.option.once_more
    if keep is not None:
        config.pluginmanager.register(FirstRun(keep))
    if again is not None:
        config.pluginmanager.register(SecondRun(again))


class FirstRun:
    """Keeps the failures of a run that can be tried again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, str] = {}
        self._others = 0
        self._planned: set[str] = set()
        self._reported: set[str] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Note which tests the processes of pytest-xdist are to run."""
        self._planned.update(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a module that could not be collected: nothing of it can be tried again."""
        self._others += report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a failure with all that pytest says about it."""
        self._reported.add(report.nodeid)
        if not report.failed:
            return
        if report.when not in PARTS_TRIED_AGAIN:
            self._others += 1
            return
        sections = [f"{report.longreprtext}\n", *(f"-- {name} --\n{text}" for name, text in report.sections)]
        self._kept[report.nodeid] = self._kept.get(report.nodeid, "") + "\n".join(sections)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the failures, and say by the exit status that they are to be tried again."""
        if self._planned - self._reported and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        again = self._can_be_tried_again(session)
        self._file.write_text(json.dumps(self._kept if again else {}))
        if again:
            session.exitstatus = TRY_AGAIN

    def _can_be_tried_again(self, session: pytest.Session) -> bool:
        stopped = session.shouldstop or session.shouldfail or self._planned - self._reported
        return (
            session.exitstatus == pytest.ExitCode.TESTS_FAILED
            and not stopped
            and not self._others
            and 0 < len(self._kept) <= MOST
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the tests that were planned and never ended: they died with their process."""
        for test in sorted(self._planned - self._reported):
            terminalreporter.write_line(f"NEVER RAN {test}")


class SecondRun:
    """Runs the tests that failed beside others once more, and names those that pass now."""

    def __init__(self, file: Path) -> None:
        text = file.read_text() or "{}"  # a first run that broke off wrote nothing
        self._first: dict[str, str] = json.loads(text)
        self._passed: set[str] = set()
        self._failed: set[str] = set()

    @pytest.hookimpl(tryfirst=True)  # before pytest deselects by marks
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark the tests as tests that run alone.

        Raises
        ------
        UsageError
            A test is not there any more, so it cannot be tried again.
        """
        here = {item.nodeid: item for item in items}
        lost = self._first.keys() - here.keys()
        if lost:
            raise pytest.UsageError(f"failed, and not there to be tried again: {', '.join(sorted(lost))}")
        for test in self._first:
            here[test].add_marker("alone")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how the test ended. A test that is skipped has not passed."""
        if report.nodeid in self._first and (report.failed or report.skipped):
            self._failed.add(report.nodeid)
        elif report.nodeid in self._first and report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let the run fail when a test was not tried again to its end."""
        if self._first.keys() != self._unsteady() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _unsteady(self) -> set[str]:
        return self._passed - self._failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show each first failure in full, under the name of its test and how the test ended alone."""
        unsteady = self._unsteady()
        for test, failure in self._first.items():
            terminalreporter.section(f"{test} failed beside other tests:", "_")
            terminalreporter.write_line(failure)
        for test in self._first:
            found = "UNSTEADY (failed beside others, passed alone)" if test in unsteady else "FAILED TWICE"
            terminalreporter.write_line(f"{found} {test}")
