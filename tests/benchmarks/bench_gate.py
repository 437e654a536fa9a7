"""Time the start gate as libvirt runs it, with its agent and without, beside a bare shell and a bare Python.

Run: python tests/benchmarks/bench_gate.py. Exits 1 when a median is above its target: what the gate adds to a
process that only starts and ends counts, for processes are as slow as the machine is busy.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bounds import Bound, report
from running import WEB, running

from sealward.node_agent.gate import hook

ROUNDS = 60


def median_ms(words: list[str], xml: bytes) -> float:
    """Return the median duration of a process in milliseconds."""
    durations = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run(words, input=xml, check=True, stdout=subprocess.DEVNULL)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1000


def main() -> int:
    """Print medians beside their bounds; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="sw-", dir="/tmp") as name:
        folder = Path(name)
        node = folder / "sw" / "node"
        place = str(hook.install(folder / "hooks", node, node / "gate.sock", folder / "in"))
        start = [place, "instance-00000068", "prepare", "begin", "-"]
        with running(folder / "sw") as sealward:
            sealward.sign()
            xml = sealward.fleet.xml(WEB).encode()
            shell = median_ms(["/bin/sh", "-c", ":"], xml)
            python = median_ms([sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.buffer.read()"], xml)
            skip = median_ms([place, "instance-00000068", "started", "begin", "-"], xml)
            asked = median_ms(start, xml)
            sealward.embedded.agent.stop()
            alone = median_ms(start, xml)
    print(f"bare sh {shell:.1f} ms, bare python -I -S {python:.1f} ms")
    print(f"other operations {skip:.1f} ms, a start {asked:.1f} ms, without an agent {alone:.1f} ms")
    return report(
        Bound("gate: what other operations add to a shell", skip - shell, 1.0, "ms", most=True),
        Bound("gate: a start, with its agent", asked, 10.0, "ms", most=True),
        Bound("gate: a start, without an agent", alone, 50.0, "ms", most=True),
    )


if __name__ == "__main__":
    sys.exit(main())
