"""A database that is set up as documented, with the URL of each role and an event of each kind."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from factories import ONE_OF_EACH

from sealward.events.store import roles
from sealward.events.store.postgres import migrate, postgres
from sealward.projections.store.database import Projections
from sealward.projections.store.postgres import PostgresBackend
from stack.postgres import SEALWARD, Postgres
from stack.secrets import make

USERS = {"owner": "sealward_owner", "api": roles.API, "worker": roles.WORKER}
STREAM = "00000000-0000-4000-8000-000000000001"


def set_up(owner: str) -> None:
    """Do what `sealward migrate` does."""
    migrate(owner)
    backend = PostgresBackend(owner)
    Projections(backend).close()
    assert roles.grant(owner) == [roles.API, roles.WORKER]


@contextlib.contextmanager
def documented(server: Postgres, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the URL of the database for each role."""
    make(folder, "postgresql://{user}:{password}@db", "amqp://{user}:{password}@mq", "node")
    server.make_roles(folder)
    found = {role: server.url(SEALWARD, user) for role, user in USERS.items()}
    set_up(found["owner"])
    with contextlib.closing(postgres(found["owner"])) as store:
        store.append(uuid.UUID(STREAM), 0, ONE_OF_EACH)
    with psycopg.connect(found["owner"]) as owner:
        owner.execute("INSERT INTO tokens VALUES ('alice', 'd1', 'reader', '2026-01-01', NULL)")
        owner.execute("INSERT INTO snapshots VALUES (%s, 1, 'Sign', '{}')", (STREAM,))
        owner.execute("INSERT INTO leases VALUES ('kvm1', '2026-01-01')")
    yield found
    server.drop(SEALWARD)


def refuses(connection: psycopg.Connection, statement: str) -> bool:
    """Run a statement; say whether PostgreSQL refused it for want of a right."""
    try:
        connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.errors.InvalidParameterValue as unknown:  # SET ROLE's words for it
        return "permission denied" in str(unknown)
    return False
