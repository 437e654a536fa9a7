"""Time the tree hash beside plain hashlib.sha256 of the same bytes in the same run, and on a sparse image.

Run: python tests/benchmarks/bench_files.py. Exits 1 when a target is missed. Other work on the machine
disturbs it: each figure is the median of pairs, and it waits for a quieter moment a few times.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bounds import Bound, report

from sealward.node_agent.files.content import reader, tree

if TYPE_CHECKING:
    from collections.abc import Callable

DENSE = 512 * 1024 * 1024
SPARSE = 8 * 1024 * 1024 * 1024
SPARSE_DATA = 84 * 1024 * 1024
ONE_THREAD = 0.85
TWO_THREADS = 1.7
SPARSE_SECONDS = 0.5
PAIRS = 7
TRIES = 4


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tree_hash(path: Path, threads: int) -> str:
    """Hash a file as the agent does."""
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(threads) as pool:
        size = os.fstat(file.fileno()).st_size
        return tree.root(b"".join(reader.stretches(file.fileno(), size, 0, pool)), size)


def plain_hash(path: Path) -> str:
    """Hash a file with the standard library, with the buffer that is fastest for it."""
    digest, view = hashlib.sha256(), memoryview(bytearray(reader.CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(view):
            digest.update(view[:count])
    return digest.hexdigest()


def dense(path: Path) -> tuple[float, float, float]:
    """Return GB/s of the plain hash, and the ratios of the tree hash to it on one and on two threads."""
    plain, one, two = [], [], []
    for _ in range(PAIRS):
        plain.append(seconds(lambda: plain_hash(path)))
        one.append(seconds(lambda: tree_hash(path, 1)))
        two.append(seconds(lambda: tree_hash(path, 2)))
    ratios = [statistics.median(a / b for a, b in zip(plain, other, strict=True)) for other in (one, two)]
    return DENSE / statistics.median(plain) / 1e9, ratios[0], ratios[1]


def write_dense(path: Path) -> None:
    """Write bytes that nothing can skip."""
    block = os.urandom(1024 * 1024)
    with path.open("wb") as file:
        for _ in range(DENSE // len(block)):
            file.write(block)


def write_sparse(path: Path) -> None:
    """Write as much data as a fresh guest image has, in pieces all over the file."""
    block = os.urandom(1024 * 1024)
    pieces = SPARSE_DATA // len(block)
    with path.open("wb") as file:
        file.truncate(SPARSE)
        for piece in range(pieces):
            file.seek(piece * (SPARSE // pieces) // 4096 * 4096)
            file.write(block)


def measured(folder: Path, memory: Path) -> tuple[Bound, ...]:
    """Print all figures; return those that have a target."""
    path = memory / "dense"
    write_dense(path)
    plain, one, two = dense(path)
    path.unlink()
    sparse = folder / "sparse"
    write_sparse(sparse)
    os.sync()  # or the disk is busy writing what is to be read
    took = statistics.median(seconds(lambda: tree_hash(sparse, 2)) for _ in range(PAIRS))
    print(
        f"hashlib.sha256: {plain:.2f} GB/s; {SPARSE_DATA >> 20} MiB take it {SPARSE_DATA / plain / 1e9:.3f} s"
    )
    return (
        Bound("tree hash on one thread, of hashlib.sha256", one, ONE_THREAD, "times"),
        Bound("tree hash on two threads, of hashlib.sha256", two, TWO_THREADS, "times"),
        Bound("tree hash of 8 GiB with 84 MB of data", took, SPARSE_SECONDS, "s", most=True),
    )


def main() -> int:
    """Try until the machine is quiet enough; return the exit code."""
    memory = Path("/dev/shm")  # noqa: S108 - no disk between the hash and its bound
    for _ in range(TRIES):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=memory) as dense_at:
            bounds = measured(Path(folder), Path(dense_at))
        if all(one.holds for one in bounds):
            break
        time.sleep(2)
    return report(*bounds)


if __name__ == "__main__":
    sys.exit(main())
