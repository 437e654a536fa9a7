"""`sealward api`, `worker`, `agent` and `migrate`: the processes of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealward.cli.environment import settings
from sealward.cli.process import Process
from sealward.cli.refusal import Refusal, refusing

if TYPE_CHECKING:
    import argparse

    from sealward.settings import Settings


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-commands."""
    migrate = commands.add_parser(
        "migrate",
        help="bring the schema of PostgreSQL up to date",
        description="Bring the schema of SEALWARD_DATABASE_URL up to date, as its owner, and give the roles "
        "of api and worker their rights. Safe to run twice, and by many.",
    )
    migrate.set_defaults(run=_migrate)
    api = commands.add_parser(
        "api",
        help="serve HTTP; any number of processes",
        description="Serve HTTP at SEALWARD_LISTEN over SEALWARD_DATABASE_URL. Needs no broker and no key.",
    )
    api.set_defaults(run=_api)
    worker = commands.add_parser(
        "worker",
        help="projections, relay, reports of nodes; any number of processes",
        description="Keep projections, copy the log to SEALWARD_BROKER_URL, process reports of nodes, watch "
        "the leases of nodes. One worker leads each role; another worker takes over within seconds.",
    )
    worker.set_defaults(run=_worker)
    agent = commands.add_parser(
        "agent",
        help="the agent of one node",
        description="Watch SEALWARD_LIBVIRT_URI and report to SEALWARD_BROKER_URL. Key and ledger are in "
        "SEALWARD_DATA_DIR/node; no database is needed.",
    )
    agent.set_defaults(run=_agent)


def _migrate(args: argparse.Namespace) -> int:
    del args
    from sealward.events.store.postgres import NotAllowed, NotMigrated, migrate
    from sealward.events.store.roles import grant, is_bounded
    from sealward.events.store.store import StoreUnavailable
    from sealward.storage import storage

    where = settings()
    with refusing(NotMigrated, NotAllowed, StoreUnavailable):
        done = migrate(_database(where))
        storage(where).close()  # the process that opens the rows first makes their tables
        roles = grant(_database(where))
        bounded = not roles or is_bounded(_database(where))
    print(f"migrations done: {', '.join(map(str, done)) if done else 'none, the schema is up to date'}")
    print(
        f"roles with rights of their own: {', '.join(roles) or 'none, deploy/postgres/roles.sql makes them'}"
    )
    if not bounded:
        print("the roles have no bounds: run deploy/postgres/roles.sql again, as the server's administrator")
    return 0


def _api(args: argparse.Namespace) -> int:
    del args
    from sealward.control_plane import Core
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.http.auth.access import AccessRulesRefused
    from sealward.http.listening.listener import Listener
    from sealward.settings import SettingRefused

    where = settings()
    _database(where)
    process = Process(where)
    with refusing(NotMigrated, NotAllowed, StoreUnavailable, SettingRefused, AccessRulesRefused):
        core = Core(where, seals=False)
        try:
            listener = Listener(core.app, *where.listen, where.serving, core.traffic)
            listener.start()
            print(f"Sealward listens at {listener.url}", flush=True)
            status = process.wait()
            core.closing.set()
            listener.stop()
            return status
        finally:
            core.close()


def _worker(args: argparse.Namespace) -> int:
    del args
    from sealward.control_plane import Core, Worker
    from sealward.events.bus.bus import Bus
    from sealward.events.bus.tls import Tls
    from sealward.events.signing.keys import KeyRefused
    from sealward.events.store.postgres import NotAllowed, NotMigrated
    from sealward.events.store.store import StoreUnavailable
    from sealward.events.wire.codec import EventRefused

    where = settings()
    _database(where)
    bus = Bus(broker(where), tls=Tls.of(where))
    process = Process(where)
    with refusing(NotMigrated, NotAllowed, StoreUnavailable, KeyRefused, EventRefused):
        core = Core(where)
        worker = Worker(core, where, bus)
        try:
            worker.start()
            print("the worker works", flush=True)
            return process.wait()
        finally:
            worker.stop()
            core.close()
            bus.close()


def _agent(args: argparse.Namespace) -> int:
    del args
    from sealward.events.bus.bus import Bus
    from sealward.events.bus.tls import Tls
    from sealward.events.signing.keys import KeyRefused
    from sealward.node import Node
    from sealward.protocol.joining import JoinRefused

    where = settings()
    bus = Bus(broker(where), tls=Tls.of(where))
    process = Process(where)
    with refusing(KeyRefused, JoinRefused):
        node = Node(where, bus)
        try:
            node.start()
            print(f"the agent of {node.agent.hostname} works", flush=True)
            return process.wait()
        finally:
            node.stop()
            bus.close()


def _database(where: Settings) -> str:
    if where.database_url is None:
        raise Refusal("set SEALWARD_DATABASE_URL, or SEALWARD_DATABASE_URL_FILE; one process alone is `run`")
    return where.database_url


def broker(where: Settings) -> str:
    """Return the broker's URL. Raises Refusal."""
    if where.broker_url is None:
        raise Refusal("set SEALWARD_BROKER_URL, or SEALWARD_BROKER_URL_FILE; one process alone is `run`")
    return where.broker_url
