"""A test that fails beside others runs once more alone, and nothing that fails is hidden: ADR 72.

Each test here runs pytest as `make test` does, in a folder of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import unsteady

pytest_plugins = "pytester"
pytestmark = pytest.mark.heavy

PASSES = "def test_that_passes(): pass\n"
FAILS = "def test_that_fails(): assert 6 * 7 == 43\n"
FAILS_BESIDE_OTHERS = """
import os
def test_for_time():
    print("a line of output")
    assert "PYTEST_XDIST_WORKER" not in os.environ, "too slow"
"""
DIES_BESIDE_OTHERS = """
import os
def test_that_dies():
    if "PYTEST_XDIST_WORKER" in os.environ:
        os._exit(9)
"""
FAILS_AFTERWARDS = """
import os, pytest
@pytest.fixture
def server():
    yield
    assert "PYTEST_XDIST_WORKER" not in os.environ
def test_with_a_server(server): pass
"""
IS_SKIPPED_ALONE = """
import os, pytest
def test_of_a_moment():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("no")
    assert False
"""
GOES_AWAY = """
import os, pytest
@pytest.mark.parametrize("name", [os.environ.get("PYTEST_XDIST_TESTRUNUID", "alone")])
def test_named_by_chance(name): assert False
"""


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a folder whose tests have the options, and the mark of the tests that run alone."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # importing all plugins takes seconds
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):  # this test itself may run beside others
        monkeypatch.delenv(name, raising=False)
    pytester.makeini(
        f"[pytest]\npythonpath = {Path(unsteady.__file__).parent}\nmarkers =\n    alone: runs alone\n"
        "addopts = --import-mode=importlib -p xdist.plugin -p no:cacheprovider"
    )
    pytester.makeconftest("from unsteady import pytest_addoption, pytest_configure")
    return pytester


def both_runs(folder: pytest.Pytester, **files: str) -> tuple[pytest.RunResult, pytest.RunResult]:
    """Return how the two runs of `make test` end."""
    folder.makepyfile(**files)
    first = folder.runpytest_subprocess("-n", "1", "-m", "not alone", "--keep-failures=kept")
    return first, folder.runpytest_inprocess("-m", "alone", "--once-more=kept")


ALONE = "import pytest\n@pytest.mark.alone\ndef test_that_runs_alone(): pass\n"


def test_what_passes_is_not_tried_again(folder: pytest.Pytester) -> None:
    """Without failures the second run has the tests that run alone, and no other."""
    first, second = both_runs(folder, test_one=PASSES, test_two=ALONE)
    assert (first.ret, second.ret) == (0, 0)
    second.assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize("test", [FAILS_BESIDE_OTHERS, DIES_BESIDE_OTHERS], ids=["fails", "dies"])
def test_what_passes_alone_is_named_with_its_first_failure(folder: pytest.Pytester, test: str) -> None:
    """The build passes and shows test, traceback and output, also when a process died."""
    first, second = both_runs(folder, test_one=test, test_two=PASSES, test_three=ALONE)
    assert (first.ret, second.ret) == (unsteady.TRY_AGAIN, 0)
    second.assert_outcomes(passed=2, deselected=1)
    second.stdout.fnmatch_lines(["*UNSTEADY*test_one.py::test_*"])
    if test == FAILS_BESIDE_OTHERS:
        second.stdout.fnmatch_lines(["*assert*too slow*", "*-- Captured stdout call --*", "a line of output"])
    else:
        second.stdout.fnmatch_lines(["*worker 'gw*' crashed while running 'test_one.py::test_that_dies'*"])


def test_a_test_that_fails_twice_fails_the_run(folder: pytest.Pytester) -> None:
    """A failure alone is a failure, also beside a test that is unsteady."""
    first, second = both_runs(folder, test_one=FAILS, test_two=FAILS_BESIDE_OTHERS)
    assert (first.ret, second.ret) == (unsteady.TRY_AGAIN, pytest.ExitCode.TESTS_FAILED)
    second.stdout.fnmatch_lines(["FAILED TWICE test_one.py::test_that_fails"])


def test_a_test_that_runs_alone_has_one_attempt(folder: pytest.Pytester) -> None:
    """What fails alone is not tried again."""
    first, second = both_runs(folder, test_one=PASSES, test_two=ALONE.replace("pass", "assert False"))
    assert (first.ret, second.ret) == (0, pytest.ExitCode.TESTS_FAILED)


def test_more_than_three_failures_are_not_tried_again(folder: pytest.Pytester) -> None:
    """The fourth failure makes all of them failures."""
    files = {f"test_{at}": FAILS_BESIDE_OTHERS for at in range(unsteady.MOST + 1)}
    first, second = both_runs(folder, **files, test_alone=ALONE)
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    second.assert_outcomes(passed=1, deselected=unsteady.MOST + 1)


@pytest.mark.parametrize(
    "other",
    ["import nothing_of_that_name\n", "def test_unfinished(:\n", FAILS_AFTERWARDS],
    ids=["no import", "no Python", "a teardown fails"],
)
def test_what_cannot_be_tried_again_fails_the_first_run(folder: pytest.Pytester, other: str) -> None:
    """A module that is not collected and a failed teardown count at once."""
    first, _ = both_runs(folder, test_one=FAILS_BESIDE_OTHERS, test_two=other)
    assert first.ret not in (0, unsteady.TRY_AGAIN)
    assert (folder.path / "kept").read_text() == "{}"


def test_a_test_that_is_skipped_alone_has_not_passed(folder: pytest.Pytester) -> None:
    """A skipped second attempt shows nothing."""
    first, second = both_runs(folder, test_one=IS_SKIPPED_ALONE, test_two=ALONE)
    assert (first.ret, second.ret) == (unsteady.TRY_AGAIN, pytest.ExitCode.TESTS_FAILED)


def test_a_test_that_is_not_found_again_fails_the_run(folder: pytest.Pytester) -> None:
    """A test whose name is gone cannot show that it passes."""
    first, second = both_runs(folder, test_one=GOES_AWAY, test_two=ALONE)
    assert (first.ret, second.ret) == (unsteady.TRY_AGAIN, pytest.ExitCode.USAGE_ERROR)


def test_a_run_that_was_stopped_is_not_tried_again(folder: pytest.Pytester) -> None:
    """After `-x` tests are left that never ran."""
    folder.makepyfile(test_one=FAILS_BESIDE_OTHERS, test_two=PASSES)
    first = folder.runpytest_subprocess("-n", "1", "-x", "--keep-failures=kept")
    assert first.ret not in (0, unsteady.TRY_AGAIN)


def test_tests_lost_with_their_processes_fail_the_run(folder: pytest.Pytester) -> None:
    """Tests that no process was left to run are named, and the run fails."""
    folder.makepyfile(test_one=DIES_BESIDE_OTHERS, test_two=PASSES, test_three=DIES_BESIDE_OTHERS)
    first = folder.runpytest_subprocess("-n", "1", "--max-worker-restart", "0", "--keep-failures=kept")
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    first.stdout.fnmatch_lines(["NEVER RAN *"])


def test_the_makefile_knows_the_status() -> None:
    """`make test` goes on to the second run at the status of this module."""
    makefile = Path(unsteady.__file__).parents[1] / "Makefile"
    assert f"TRY_AGAIN = {unsteady.TRY_AGAIN}\n" in makefile.read_text()


def test_the_makefile_passes_the_file_in_one_word() -> None:
    """Before pytest reads a conftest, it takes a second word for a test, and looks for its settings there."""
    makefile = (Path(unsteady.__file__).parents[1] / "Makefile").read_text()
    assert "--keep-failures=$$kept" in makefile
    assert "--once-more=$$kept" in makefile
