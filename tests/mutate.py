"""Try each mutation in a copy of the repository, and say which of them no test notices.

Usage: `mutate.py [WORD...]`. With words, only the mutations of files whose paths contain one of the words are
tried. The exit status is 0 if a test noticed each mutation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[1]
PASSED, FAILED = 0, 1
"""Exit statuses of pytest. Each other status means that the tests could not run."""


def copied(folder: Path) -> Path:
    """Copy all files that git knows to a folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607 - git of the developer
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def status(copy: Path, tests: set[str]) -> int:
    """Run tests on the copy until one fails, and return the exit status. Raises SystemExit for an error."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    own = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(  # noqa: S603 - pytest
        [*command, *(f"tests/{one}" for one in sorted(tests))],
        cwd=copy,
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if ended.returncode not in {PASSED, FAILED}:
        raise SystemExit(f"pytest ended with {ended.returncode}:\n{ended.stdout.decode()}")
    return ended.returncode


def is_noticed(copy: Path, mutation: Mutation) -> bool:
    """Apply a mutation to the copy, run its tests, and take the mutation back.

    Raises SystemExit if the text does not stand in the file once: choose another small change of the rule.
    """
    file = copy / "sealward" / mutation.file
    before = file.read_text() if file.exists() else ""
    if before.count(mutation.text) != 1:
        raise SystemExit(f"tests/mutations.py: {mutation.text!r} does not stand once in {mutation.file}")
    file.write_text(before.replace(mutation.text, mutation.becomes))
    try:
        return status(copy, set(mutation.tests.split())) == FAILED
    finally:
        file.write_text(before)


def main(words: list[str]) -> int:
    """Try mutations, print each result, and return the exit status."""
    chosen = [one for one in MUTATIONS if not words or any(word in one.file for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="sw-mutations-") as folder:
        copy = copied(Path(folder))
        if status(copy, {test for one in chosen for test in one.tests.split()}) != PASSED:
            print("The tests fail without a mutation.")
            return 1
        for one in chosen:
            noticed = is_noticed(copy, one)
            survivors += not noticed
            print(f"{'killed  ' if noticed else 'SURVIVED'} {one.file}: {one.text.strip()!r}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations were noticed")
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
