"""Time a node's sweep: all domains of a real libvirtd, and of libvirt's test driver, each found as signed.

Run: python tests/benchmarks/bench_sweep.py. Exits 1 when a median misses its target, or the agent grows.
Python has one core where the test driver is timed. Without root that is all: a private libvirtd needs it.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import libvirt
from bounds import Bound, report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from private import folder

from sealward.events.base import utc_now
from sealward.events.cause import Cause
from sealward.node_agent.files.content.cache import Cache
from sealward.node_agent.files.measurer import FileMeasurer
from sealward.node_agent.hypervisor.connection import open_read_only
from sealward.node_agent.hypervisor.fleet import SampleFleet, sample_uri
from sealward.node_agent.hypervisor.hypervisor import Hypervisor
from sealward.node_agent.ledger.bindings import Bindings
from sealward.node_agent.ledger.keyring import Keyring
from sealward.node_agent.ledger.ledger import Ledger
from sealward.node_agent.ledger.references import Reference
from sealward.node_agent.validation.measurer import ServerMeasurer
from sealward.node_agent.validation.reported import Reported
from sealward.node_agent.validation.reporter import Reporter
from sealward.node_agent.validation.validator import Validator
from sealward.protocol import reports
from stack.guest import Guest
from stack.libvirtd import Libvirtd, why_not

REAL, REAL_SECONDS = 1000, 1.0
DRIVER, DRIVER_SECONDS = 5000, 3.0
ROUNDS = 5
SWEEPS, FLAT_MB = 100, 10.0


def sweeping(hypervisor: Hypervisor, place: Path) -> tuple[Callable[[], None], list[reports.AnyReport]]:
    """Return what sweeps all domains, each signed as it is now, and where its reports go."""
    sent: list[reports.AnyReport] = []
    files = FileMeasurer(Cache(place / "files.sqlite"), lambda _: None, timedelta(days=1).total_seconds())
    key = Ed25519PrivateKey.generate()
    ring = Keyring(key)
    bindings = Bindings(Ledger(place / "ledger.sqlite"))
    measurer, reported = ServerMeasurer(hypervisor, files, bindings), Reported()
    validator = Validator(measurer, bindings, reported, Reporter("kvm1", ring, sent.append), utc_now)
    references = []
    for sign_id, (server_id, _) in enumerate(hypervisor.servers(), 1):
        found = measurer.measure(server_id)
        references.append(Reference(server_id, sign_id, 1, found.measurement, found.evidence()))
    reported.begin((one.server_id for one in references), ())
    return lambda: validator.sweep(references, (), 0, Cause.SWEEP, None), sent


def median(sweep: Callable[[], None]) -> float:
    """Return the median seconds of a sweep."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        sweep()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def checked(sent: list[reports.AnyReport], servers: int) -> None:
    """Make sure that every server was found equal, or it was another work that was timed."""
    (last,) = sent[-1:]
    assert isinstance(last, reports.Sweep)
    assert last.counts["true"] == servers, last.counts


@contextmanager
def real(place: Path) -> Iterator[Hypervisor]:
    """Give a private libvirtd with domains that are defined; they share one disk."""
    daemon = Libvirtd(place / "node", "kvm-bench")
    daemon.start()
    try:
        first = Guest(place / "guests").make()
        connection = libvirt.open(daemon.uri)
        for number in range(1, REAL + 1):
            guest = Guest(place / "guests", number)
            connection.defineXML(guest.xml.replace(str(guest.disk), str(first.disk)))
        connection.close()
        with closing(Hypervisor(daemon.read_only_uri, lambda _: None, open_read_only)) as hypervisor:
            hypervisor.start()
            yield hypervisor
    finally:
        daemon.close()


@contextmanager
def driver() -> Iterator[Hypervisor]:
    """Give the test driver with many copies of a sample server."""
    fleet = SampleFleet()
    with closing(Hypervisor(sample_uri(), lambda _: None, fleet.open)) as hypervisor:
        hypervisor.start()
        (server_id, name), *others = hypervisor.servers()
        xml = re.sub(r"<mac address=[^>]*>", "", fleet.xml(server_id))
        for number in range(DRIVER - 1 - len(others)):
            new = f"5a5a0000-0000-4000-8000-{number:012d}"
            fleet.define(xml.replace(server_id, new).replace(name, f"copy-{number:08x}"))
        yield hypervisor


def on_driver(place: Path) -> list[Bound]:
    """Sweep the test driver, then again and again."""
    with driver() as hypervisor:
        sweep, sent = sweeping(hypervisor, place)
        seconds = median(sweep)
        checked(sent, DRIVER)
        sent.clear()
        before = rss_mb()
        for _ in range(SWEEPS):
            sweep()
            sent.clear()
        grown = rss_mb() - before
    return [
        Bound(f"sweep: {DRIVER:,} domains of the test driver", seconds, DRIVER_SECONDS, "s", most=True),
        Bound(f"sweep: the agent's growth over {SWEEPS} sweeps", grown, FLAT_MB, "MB", most=True),
    ]


def on_libvirtd(place: Path) -> list[Bound]:
    """Sweep a real libvirtd."""
    reason = why_not()
    if reason is not None:
        print(f"no real libvirtd is timed: {reason}")
        return []
    with real(place) as hypervisor:
        sweep, sent = sweeping(hypervisor, place)
        seconds = median(sweep)
        checked(sent, REAL)
    return [Bound(f"sweep: {REAL:,} domains of a real libvirtd", seconds, REAL_SECONDS, "s", most=True)]


def rss_mb() -> float:
    """Return how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    """Print figures beside their bounds; return the exit code."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    with folder() as place:
        bounds = on_libvirtd(place)
        shutil.rmtree(place / "guests", ignore_errors=True)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        (place / "driver").mkdir()
        bounds += on_driver(place / "driver")
    return report(*bounds)


if __name__ == "__main__":
    sys.exit(main())
