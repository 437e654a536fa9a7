"""Private servers of a benchmark, gone when it ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sealward.events.store.postgres import migrate
from stack.postgres import Postgres
from stack.rabbitmq import RabbitMQ


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder with a short path."""
    made = Path(tempfile.mkdtemp(prefix="sw-", dir="/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Give a running PostgreSQL server whose first database has Sealward's schema."""
    with folder() as place:
        server = Postgres(place)
        server.start()
        try:
            migrate(server.url())
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """Give a running RabbitMQ server."""
    with folder() as place:
        server = RabbitMQ(place)
        server.start()
        try:
            yield server
        finally:
            server.close()
