"""Time measure() on one form of an 8 KB domain, beside the bound that lxml itself sets in the same run.

Run: python tests/benchmarks/bench_measure.py. Exits 1 when the median is above the target.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bounds import Bound, report
from lxml import etree

from sealward.node_agent.measuring.measure import measure

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET_MS = 0.3
ROUNDS = 3000
SAMPLE = Path(__file__).parent.parent / "assets" / "domains" / "uefi6.0-running.inactive.xml"


def median_ms(work: Callable[[], object]) -> float:
    """Return the median duration of one call in milliseconds."""
    durations = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1000


def main() -> int:
    """Print median, bound and ratio; return the exit code."""
    xml = SAMPLE.read_bytes()
    bound = median_ms(lambda: etree.tostring(etree.fromstring(xml), method="c14n", exclusive=True))
    ours = median_ms(lambda: measure(xml, None, ""))
    print(
        f"measure {len(xml)} B: {ours:.3f} ms; parse + c14n of the whole: {bound:.3f} ms ({ours / bound:.2f})"
    )
    return report(Bound("measure one form of an 8 KB domain", ours, TARGET_MS, "ms", most=True))


if __name__ == "__main__":
    sys.exit(main())
