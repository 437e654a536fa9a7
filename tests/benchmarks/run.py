"""`make bench`: run every benchmark, or those that are named, then print all bounds together.

Run: python tests/benchmarks/run.py [append relay ...]. Exits 1 when one misses.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bounds import MARK

HERE = Path(__file__).parent


def benchmarks(names: list[str]) -> list[Path]:
    """Return the programs, in the order of their names."""
    found = sorted(HERE.glob("bench_*.py"))
    return [one for one in found if not names or one.stem.removeprefix("bench_") in names]


def run(program: Path) -> tuple[list[str], bool]:
    """Run a benchmark, pass on what it prints; return its bounds and whether they hold."""
    print(f"== {program.name}", flush=True)
    bounds = []
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if line.startswith(MARK):
                bounds.append(line.removeprefix(MARK).rstrip())
    held = process.returncode == 0
    if not bounds or (not held and all(one.endswith("ok") for one in bounds)):
        bounds.append(f" {program.stem:<58} {'ok' if held else f'MISSED: status {process.returncode}'}")
    return bounds, held


def main() -> int:
    """Print the summary; 0 when all bounds hold."""
    ran = [run(one) for one in benchmarks(sys.argv[1:])]
    print("\n== summary: measured, bound")
    for bounds, _ in ran:
        print(*bounds, sep="\n")
    return 0 if ran and all(held for _, held in ran) else 1


if __name__ == "__main__":
    sys.exit(main())
