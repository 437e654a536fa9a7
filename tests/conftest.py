"""Private servers for the tests that need real ones, started once, on first use; and every kind of store."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from folders import use_memory

from sealward.events import store as stores
from sealward.events.postgres import migrate, postgres
from sealward.events.store import EventStore
from stack.certificates import Certificates, issue
from stack.postgres import Postgres
from stack.rabbitmq import RabbitMQ

# A deadline would measure what else the machine does.
hypothesis.settings.register_profile("sealward", deadline=None)
hypothesis.settings.load_profile("sealward")
use_memory()

SERVERS = ("stack", "cloud")
"""Fixtures of a session that start many servers: tests that use the same one run in the same process."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run tests, let those that share a fixture run in the same process."""
    for one in items:
        if isinstance(one, pytest.Function) and (group := _group(one)) is not None:
            one.add_marker(pytest.mark.xdist_group(group))


def _group(test: pytest.Function) -> str | None:
    """Return what a test shares with others: a fixture of a session, or fixtures of its module."""
    scopes = {name: found[-1].scope for name, found in test._fixtureinfo.name2fixturedefs.items()}
    for name in SERVERS:
        if scopes.get(name) == "session":
            return name
    return test.path.stem if "module" in scopes.values() else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Return a running PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="sw-pg-"))
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    """Return the URL of a database without a schema."""
    name = f"t{uuid.uuid4().hex}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


@pytest.fixture
def database(empty_database: str) -> str:
    """Return the URL of a migrated, empty database."""
    migrate(empty_database)
    return empty_database


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return an authority and a certificate of it for loopback."""
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def rabbitmq_server(certificates: Certificates) -> Iterator[RabbitMQ]:
    """Return a running RabbitMQ server with a TLS port."""
    folder = Path(tempfile.mkdtemp(prefix="sw-mq-"))
    server = RabbitMQ(folder, certificates)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


def _memory(_: pytest.FixtureRequest) -> EventStore:
    return stores.in_memory()


def _sqlite(request: pytest.FixtureRequest) -> EventStore:
    folder: Path = request.getfixturevalue("tmp_path")
    return stores.sqlite(folder / "log.sqlite")


def _postgres(request: pytest.FixtureRequest) -> EventStore:
    return postgres(request.getfixturevalue("database"))


@pytest.fixture(params=[_memory, _sqlite, _postgres], ids=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    """Yield an empty store."""
    make: Callable[[pytest.FixtureRequest], EventStore] = request.param
    made = make(request)
    yield made
    made.close()
