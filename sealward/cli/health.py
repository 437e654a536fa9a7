"""`sealward health`: whether the database and the broker of the settings answer, and nothing falls behind."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Final

from sealward.cli.environment import settings
from sealward.cli.refusal import Refusal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sealward.control.monitoring import Lag, Monitor
    from sealward.settings import Settings

PATIENCE: Final = 5.0
"""Seconds in which projections or relay that are behind must make progress."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    health = commands.add_parser(
        "health",
        help="whether store and broker answer, and projections and relay keep up",
        description="Check SEALWARD_DATABASE_URL (it answers, the projections and the relay are not stuck) "
        "and SEALWARD_BROKER_URL (it answers). The status is 2 when a check fails.",
    )
    health.add_argument("--url", help="ask the API there instead, as http://127.0.0.1:9362")
    health.set_defaults(run=_health)


def _health(args: argparse.Namespace) -> int:
    if args.url is not None:
        return _api(args.url)
    where = settings()
    if where.database_url is None and where.broker_url is None:
        raise Refusal("set SEALWARD_DATABASE_URL or SEALWARD_BROKER_URL; `run` answers at /healthcheck")
    if where.database_url is not None:
        _store(where)
    if where.broker_url is not None:
        _broker(where)
    return 0


def _api(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/healthcheck", timeout=PATIENCE) as answer:  # noqa: S310 - the operator's
            print(f"api: {answer.status}")
    except (OSError, ValueError) as unwell:
        raise Refusal(f"{url}: {unwell}") from unwell
    return 0


def _broker(where: Settings) -> None:
    from sealward.events.bus.connection import BusUnavailable, connect, reachable
    from sealward.events.bus.tls import Tls

    connection = connect(where.broker_url or "", Tls.of(where))
    try:
        with reachable(connection):
            connection.ensure_connection(max_retries=1, timeout=PATIENCE)
    except BusUnavailable as away:
        raise Refusal(f"the broker does not answer: {away}") from away
    finally:
        connection.release()
    print("broker: answers")


def _store(where: Settings) -> None:
    from sealward.control_plane import monitor
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    try:
        found = storage(where)
        try:
            control_plane = monitor(found, where)
            _keeps_up("projections", control_plane, found.projections.position_now)
            if where.broker_url is not None and control_plane.relay is not None:
                _keeps_up("relay", control_plane, control_plane.relay)
        finally:
            found.close()
    except (NotMigrated, NotAllowed, StoreUnavailable) as away:
        raise Refusal(f"the store: {away}") from away


def _keeps_up(what: str, control_plane: Monitor, position: Callable[[], int]) -> None:
    """Print how far `what` is behind the log. Raises Refusal when its position does not advance."""
    first, deadline = position(), time.monotonic() + PATIENCE
    while (lag := control_plane.lag(position())).events and lag.position == first:
        if time.monotonic() > deadline:
            raise Refusal(f"{what}: stuck at {lag.position}, {_said(lag)}")
        time.sleep(0.2)
    print(f"{what}: {_said(lag)}")


def _said(lag: Lag) -> str:
    return f"{lag.events} events behind" + (f", the first for {lag.seconds:.1f} s" if lag.events else "")
