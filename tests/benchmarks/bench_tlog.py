"""The Merkle tree over the log: what folding it costs a rebuild, proofs, and the verification of an export.

The log is that of the benchmark of rebuilds, shorter. Its seals hold no envelope that can be verified: a
verification of real seals takes one Ed25519 verification more for each seal.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import bench_rebuild
from bounds import Bound, report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealward.audit.export import export
from sealward.audit.folder import Folder
from sealward.audit.verification import verify
from sealward.control.checkpoints import Checkpoints
from sealward.control.database import SqliteControl
from sealward.control.notary import Notary
from sealward.events.base import utc_now
from sealward.events.store import store as stores
from sealward.events.store.store import EventStore
from sealward.events.tlog.merkle import inclusion_proof, leaf_hash
from sealward.events.tlog.policy import read_policy
from sealward.events.tlog.tiles import appended
from sealward.projections.store.database import Projections
from sealward.projections.store.sqlite import SqliteBackend

SERVERS = 2_000
LEAVES = 200_000
BATCH = 5_000
PROOFS = 500
TURNS = 3


def rebuilt(store: EventStore, folder: Path, only: Sequence[str] | None) -> float:
    """Return the seconds of CPU that a rebuild takes."""
    with contextlib.closing(Projections(SqliteBackend(folder / "rows.sqlite"), only)) as projections:
        began = time.process_time()
        for _ in projections.catch_up(store):
            pass
        return time.process_time() - began


def cost_of_the_tree(store: EventStore) -> float:
    """Return a rebuild with the tree, as a multiple of one without: the median of turns."""
    with (
        TemporaryDirectory() as place,
        contextlib.closing(Projections(SqliteBackend(Path(place) / "x"))) as all_,
    ):
        without = [one.name for one in all_.all if not one.name.startswith("tree_")]
    ratios = []
    for _ in range(TURNS):
        with TemporaryDirectory() as one, TemporaryDirectory() as other:
            ratios.append(rebuilt(store, Path(one), None) / rebuilt(store, Path(other), without))
    return sorted(ratios)[TURNS // 2]


def leaves_a_second(folder: Path) -> float:
    """Return how many leaves a second are folded into tiles in SQLite, a batch in a transaction."""
    leaves = [leaf_hash(str(one).encode()) for one in range(LEAVES)]

    with contextlib.closing(Projections(SqliteBackend(folder / "leaves.sqlite"))) as projections:
        began = time.perf_counter()
        for start in range(0, LEAVES, BATCH):
            with projections.writing() as tables:
                changed = appended(start, leaves[start : start + BATCH], projections.tree.stored(tables))
                tables.many(
                    "tree.put",
                    [
                        {"level": level, "number": number, "data": data}
                        for (level, number), data in changed.items()
                    ],
                )
        return LEAVES / (time.perf_counter() - began)


def audited(store: EventStore, folder: Path) -> tuple[float, float]:
    """Return milliseconds for a proof, and events that a second of CPU verifies."""
    with (
        contextlib.closing(Projections(SqliteBackend(folder / "rows.sqlite"))) as projections,
        contextlib.closing(SqliteControl(folder / "control.sqlite")) as control,
    ):
        for _ in projections.catch_up(store):
            pass
        checkpoints = Checkpoints(control)
        Notary(
            store, projections, checkpoints, "bench.example", Ed25519PrivateKey.generate(), utc_now
        ).check()
        last = export(store, projections, checkpoints, Folder(folder / "log"), int)
        began = time.perf_counter()
        with projections.reading() as tables:
            for one in range(PROOFS):
                leaf = one * 7919 % last.size
                inclusion_proof(leaf, last.size, projections.tree.subtrees(tables))
        proof = (time.perf_counter() - began) / PROOFS
    began = time.process_time()
    list(verify(Folder(folder / "log"), read_policy(f"log {last.vkey}\nquorum none\n")))
    return proof * 1000, last.size / (time.process_time() - began)


def main() -> int:
    """Print all figures; 1 when one misses its bound."""
    bench_rebuild.SERVERS = SERVERS
    with contextlib.closing(stores.in_memory()) as store, TemporaryDirectory() as place:
        count = bench_rebuild.fill(store)
        print(f"a log of {count:,} events")
        cost = cost_of_the_tree(store)
        leaves = leaves_a_second(Path(place))
        proof, verified = audited(store, Path(place))
    return report(
        Bound("rebuild with the Merkle tree, against one without (CPU)", cost, 1.15, "x", most=True),
        Bound("leaves folded into tiles in SQLite", leaves, 70_000, "/s"),
        Bound("proof that an event is in the log", proof, 5, "ms", most=True),
        Bound("audit verify, a million events in 60 s of one core", verified, 1_000_000 / 60, "events/s"),
    )


if __name__ == "__main__":
    sys.exit(main())
