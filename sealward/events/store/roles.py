"""Which process may append which event, and the rights of its role in PostgreSQL.

An attacker in an API process can give an administrator's orders, but cannot record that a server was
measured, sealed or found equal. An attacker in a worker cannot record an administrator's decisions. Only the
owner of the schema can write tokens, and no role can change an event.
"""

from __future__ import annotations

import json
from typing import Final

from psycopg.rows import dict_row

from sealward.events.node import NodeInvited, NodeRegistered
from sealward.events.sign import SignCreated, SignEvent
from sealward.events.store.postgres import reachable
from sealward.events.store.postgres_connections import dial, parameters
from sealward.events.store.sql import blocks
from sealward.events.wire.codec import EVENTS

SQL: Final = blocks("sealward.events.store", "roles.sql")
API: Final = "sealward_api"
WORKER: Final = "sealward_worker"
DECISIONS: Final = frozenset(
    {
        "node.invited",
        "node.key-replaced",
        "node.policy-set",
        "node.removed",
        "node.uninvited",
        "sign.created",
        "sign.policy-set",
        "sign.revoked",
        "sign.updated",
    }
)
"""Topics of decisions that only an administrator makes, over the API."""
ORDERS: Final = frozenset(
    {
        "node.activated",
        "node.deactivated",
        "node.firmware-accepted",
        "node.registered",
        "sign.moved",
        "sign.validation-requested",
    }
)
"""Topics that both the API and workers append. Workers do so for Celery's clients, for policies, and for a
node's first report."""

OPENING: Final = (SignCreated, NodeInvited, NodeRegistered)
"""Events that a stream may begin with."""


def kinds() -> list[tuple[str, str, bool]]:
    """Return each topic, the kind of stream that it belongs to, and whether a stream may begin with it."""
    return [
        (topic, "sign" if issubclass(event, SignEvent) else "node", event in OPENING)
        for topic, event in EVENTS.items()
    ]


def topics(role: str) -> frozenset[str]:
    """Return the topics that a role may append."""
    return DECISIONS | ORDERS if role == API else frozenset(EVENTS) - DECISIONS


def grant(url: str) -> list[str]:
    """Grant the existing roles their rights; return the names of these roles. `url` is the schema owner's.

    Raises StoreUnavailable, and NotAllowed when `url` is not the owner's.
    """
    with reachable(), dial(parameters(url) | {"row_factory": dict_row}) as connection:
        known = [str(row["role"]) for row in connection.execute(SQL["known"])]
        connection.execute(SQL["forget-kinds"])
        connection.execute(SQL["keep-kinds"], {"kinds": json.dumps(kinds())})
        connection.execute(SQL["forget-topics"])
        for role in known:
            connection.execute(SQL[f"grant-{role}"])
            connection.execute(SQL["allow-topics"], {"role": role, "topics": sorted(topics(role))})
    return known


def is_bounded(url: str) -> bool:
    """Say whether the database's administrator has bounded the roles, which the owner cannot do.

    Only for a database with roles. `url` is the schema owner's. Raises StoreUnavailable.
    """
    with reachable(), dial(parameters(url) | {"row_factory": dict_row}) as connection:
        row = connection.execute(SQL["is-bounded"]).fetchone()
    return row is not None and bool(row["bounded"])
