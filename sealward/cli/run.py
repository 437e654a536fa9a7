"""`sealward run`: control plane and one node agent in one process."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import secrets
from typing import TYPE_CHECKING

from sealward.cli.environment import alone, own_settings
from sealward.cli.process import Process
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sealward.embedded import Embedded
    from sealward.settings import Settings

log = logging.getLogger(__name__)

BANNER = """Sealward listens at {url}; data in {data_dir}; Ctrl-C ends it.

  token={token}
  curl -H "X-Auth-Token: $token" {url}/v1/server
  curl -X POST -H "X-Auth-Token: $token" -H "Content-Type: application/json" \\
       -d '{{"server_id": "{server_id}"}}' {url}/v1/sign
  curl -H "X-Auth-Token: $token" {url}/v1/sign/{server_id}
  curl -H "X-Auth-Token: $token" {url}/v1/sign/{server_id}/verdict
"""
SAMPLE = """  SEALWARD_DATA_DIR={data_dir} sealward sample change  # another disk; `sample restore` undoes it
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
    where = own_settings()
    if where.database_url or where.broker_url:
        raise Refusal("run is the embedded default; with PostgreSQL and RabbitMQ start api, worker and agent")
    token = where.admin_token or secrets.token_urlsafe(24)
    with alone(where):
        return _serve(dataclasses.replace(where, admin_token=token))


def _serve(where: Settings) -> int:
    from sealward.embedded import Embedded
    from sealward.events.signing.keys import KeyRefused
    from sealward.events.wire.codec import EventRefused
    from sealward.http.auth.access import AccessRulesRefused
    from sealward.settings import SettingRefused

    process = Process(where)
    with refusing(KeyRefused, EventRefused, SettingRefused, AccessRulesRefused):
        try:
            embedded = Embedded(where)
        except OSError as refused:
            host, port = where.listen
            message = f"cannot listen at {host} port {port}: {refused}; set SEALWARD_LISTEN"
            raise Refusal(message) from refused
        try:
            embedded.start()
            embedded.wait_ready(where.wait)
            with _sample(embedded, where):
                _greet(embedded, where)
                return process.wait()
        finally:
            embedded.stop()


@contextlib.contextmanager
def _sample(embedded: Embedded, where: Settings) -> Iterator[None]:
    """Let `sealward sample` change the sample fleet, where this process watches the sample fleet."""
    if where.libvirt_uri:
        yield
        return
    from sealward.node_agent.hypervisor.sample_socket import SampleSocket

    try:
        samples = SampleSocket(where.data_dir, embedded.fleet)
    except OSError as refused:  # the path of a socket has at most 107 bytes
        log.warning("`sealward sample` cannot be served in %s: %s", where.data_dir, refused)
        yield
        return
    samples.start()
    try:
        yield
    finally:
        samples.stop()


def _greet(embedded: Embedded, where: Settings) -> None:
    projections = embedded.control_plane.projections
    with projections.reading() as tables:
        servers = projections.servers.page(tables, limit=1)
    server_id = servers[0].server_id if servers else "SERVER_ID"
    token = "$(openstack token issue -f value -c id)" if where.keystone else where.admin_token
    url = embedded.listener.url
    print(BANNER.format(url=url, data_dir=where.data_dir, token=token, server_id=server_id), flush=True)
    if not where.libvirt_uri:
        print(SAMPLE.format(data_dir=where.data_dir), flush=True)
