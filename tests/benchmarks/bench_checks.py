"""What the checks of values cost the intake: the same reports with the checks and without, by turns.

The checks are those of ADR 53: each report, each statement and each event is checked against its types. The
counterpart has functions in their place that do nothing. CPU time of the process is compared, which other
load of the machine changes less than the time of a clock.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from bench_reports import AUTHORITY, NODES, backlog, intake
from bounds import Bound, report
from private import postgres_server

from sealward.cli.process import collect_seldom
from sealward.commands.writer.handler import Handler
from sealward.control.postgres import PostgresControl
from sealward.events import values
from sealward.events.base import utc_now
from sealward.events.bus.bus import BATCH
from sealward.events.store.postgres import postgres
from sealward.events.store.store import EventStore
from sealward.intake.intake import Intake
from sealward.intake.reports import decoding

PAIRS = 10
MOST = 10.0
"""Percent of the CPU time."""


def nothing(_value: object) -> None:
    """Check nothing."""


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Put functions that do nothing in the place of the checks."""
    with (
        mock.patch.object(values, "check", nothing),
        mock.patch.object(decoding, "_CHECK_KEYID", nothing),
    ):
        yield


def seconds(store: EventStore, handler: Handler, door: Intake, number: int) -> float:
    """Return the CPU time for each event of a fleet's reports."""
    messages = backlog(store, handler, 1 + number * NODES)
    before, began = store.head(), time.process_time()
    for at in range(0, len(messages), BATCH):
        assert not any(door.take(messages[at : at + BATCH]))
    return (time.process_time() - began) / (store.head() - before)


def main() -> int:
    """Print both figures and the bound; 1 when the checks take more."""
    collect_seldom()  # as a worker does
    checked, bare = [], []
    with postgres_server() as server:
        store, control = postgres(server.url()), PostgresControl(server.url())
        handler = Handler(store, AUTHORITY, clock=utc_now, fresh_for=timedelta(minutes=15))
        door = intake(store, handler, control)
        seconds(store, handler, door, 0)  # to warm up
        for number in range(1, 1 + 2 * PAIRS, 2):
            checked.append(seconds(store, handler, door, number))
            with unchecked():
                bare.append(seconds(store, handler, door, number + 1))
        control.close()
        store.close()
    whole, rest = min(checked), min(bare)  # other load only adds
    print(f"CPU time of an event: {1e6 * whole:.1f} us with the checks, {1e6 * rest:.1f} us without")
    share = 100 * (whole / rest - 1)
    return report(Bound("checks of values, of the intake's other CPU time", share, MOST, "%", most=True))


if __name__ == "__main__":
    sys.exit(main())
