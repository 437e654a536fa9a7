"""Private servers for the tests that need real ones, started once, on first use; and every kind of store."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import libvirt
import pytest
from folders import use_memory
from scheduling import BySharedServers, order
from unsteady import pytest_addoption, pytest_configure

from sealward.events.store import store as stores
from sealward.events.store.postgres import migrate, postgres
from sealward.events.store.store import EventStore
from stack.certificates import Certificates, issue
from stack.libvirtd import why_not
from stack.postgres import Postgres
from stack.rabbitmq import RabbitMQ

__all__ = ["pytest_addoption", "pytest_configure"]  # hooks of pytest

# A deadline would measure what else the machine does.
hypothesis.settings.register_profile("sealward", deadline=None)
hypothesis.settings.load_profile("sealward")
use_memory()

HEAVY = {
    "hypervisors",
    "cloud",
    "rabbitmq_server",
    "stack",
    "attacked",
    "place",
    "stuck",
    "api",
    "standing",
    "proxied",
}
"""Fixtures of tests that `make test-fast` leaves out: hypervisors, Keystone, and programs of their own.

Those programs are a broker, the processes of a topology, or a Sealward in its own process.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are heavy by what they need, and begin with those that take longest."""
    items.sort(key=order)
    for one in items:
        if isinstance(one, pytest.Function) and HEAVY & set(one.fixturenames):
            one.add_marker(pytest.mark.heavy)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> BySharedServers:
    """Return what gives tests to the processes that run them."""
    return BySharedServers(config, log)


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


@pytest.fixture(scope="session")
def hypervisors() -> Iterator[Path]:
    """Return a folder for private nodes; skip, or fail in CI, where there can be none."""
    reason = why_not()
    if reason is not None and os.environ.get("CI"):
        pytest.fail(f"CI must test real hypervisors: {reason}")
    if reason is not None:
        pytest.skip(reason)
    libvirt.registerErrorHandler(lambda *_: None, None)
    folder = Path(tempfile.mkdtemp(prefix="sw-hv-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def known_of_qemu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what libvirt found out about QEMU: the processes of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "known-of-qemu"


def _memory(_: pytest.FixtureRequest) -> EventStore:
    return stores.in_memory()


def _sqlite(request: pytest.FixtureRequest) -> EventStore:
    folder: Path = request.getfixturevalue("tmp_path")
    return stores.sqlite(folder / "log.sqlite")


def _postgres(request: pytest.FixtureRequest) -> EventStore:
    return postgres(request.getfixturevalue("database"))


STORES: dict[str, Callable[[pytest.FixtureRequest], EventStore]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    """Yield an empty store."""
    made = STORES[request.param](request)
    yield made
    made.close()
