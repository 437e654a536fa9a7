"""`sealward run`: control plane and one node agent in one process."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sealward.cli.place import alone, settings
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sealward.embedded import Embedded
    from sealward.settings import Settings

log = logging.getLogger("sealward")

BANNER = """Sealward listens at {url}; data in {data_dir}; Ctrl-C ends it.

  token={token}
  curl -H "X-Auth-Token: $token" {url}/v1/server
  curl -X POST -H "X-Auth-Token: $token" -H "Content-Type: application/json" \\
       -d '{{"server_id": "{server_id}"}}' {url}/v1/sign
  curl -H "X-Auth-Token: $token" {url}/v1/sign/{server_id}
  curl -H "X-Auth-Token: $token" {url}/v1/sign/{server_id}/verdict
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command."""
    run = commands.add_parser(
        "run",
        help="run the control plane and one node agent until Ctrl-C",
        description="Run the control plane and one node agent in this process, on SQLite files. Without "
        "SEALWARD_LIBVIRT_URI the agent watches a sample fleet on libvirt's test driver.",
    )
    run.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    del args
    where = settings()
    token = where.admin_token or secrets.token_urlsafe(24)
    log_to_stderr()
    with alone(where):
        return serve(dataclasses.replace(where, admin_token=token))


def log_to_stderr() -> None:
    """Log what matters to an operator, one line each."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("kombu").setLevel(logging.ERROR)  # it warns that memory:// has no host


def serve(where: Settings) -> int:
    """Run until SIGINT or SIGTERM (status 0), or until a part dies (status 1)."""
    from sealward.embedded import Embedded
    from sealward.events.codec import EventRefused
    from sealward.events.keys import KeyRefused

    stopped, died = threading.Event(), threading.Event()

    def die(failed: threading.ExceptHookArgs) -> None:
        """Half a control plane is worse than none: a dead thread ends the process."""
        log.critical(
            "%s died", failed.thread.name if failed.thread else "a thread", exc_info=failed.exc_value
        )
        died.set()
        stopped.set()

    threading.excepthook = die
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with refusing(KeyRefused, EventRefused):
        embedded = _bound(lambda: Embedded(where), where)
        try:
            embedded.start()
            embedded.wait_ready(where.wait)
            _greet(embedded, where)
            stopped.wait()
        finally:
            embedded.stop()
    return 1 if died.is_set() else 0


def _bound(make: Callable[[], Embedded], where: Settings) -> Embedded:
    try:
        return make()
    except OSError as refused:
        raise Refusal(
            f"cannot listen at {where.listen[0]} port {where.listen[1]}: {refused}; set SEALWARD_LISTEN"
        ) from refused


def _greet(embedded: Embedded, where: Settings) -> None:
    projections = embedded.control_plane.projections
    with projections.reading() as tables:
        servers = projections.servers.page(tables, limit=1)
    server_id = servers[0].server_id if servers else "SERVER_ID"
    url = embedded.listener.url
    print(
        BANNER.format(url=url, data_dir=where.data_dir, token=where.admin_token, server_id=server_id),
        flush=True,
    )
