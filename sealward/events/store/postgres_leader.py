"""Leadership by a lock in PostgreSQL that dies with its holder's connection."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any, Final

import psycopg

from sealward.events.store.postgres_connections import PART, dial, parameters

if TYPE_CHECKING:
    Connection = psycopg.Connection[Any]

log = logging.getLogger(__name__)

LOCKS: Final = 7265464
"""Namespace of the advisory locks of leaders."""


class PostgresLeader:
    """The leader of a role among all processes on one database.

    An advisory lock on a connection of its own makes the leader: when the process dies, or the server loses
    the connection, the lock is free. TCP keepalive tells the server within seconds that a host is gone.
    """

    def __init__(self, url: str, role: str) -> None:
        self._url = url
        self._role = role
        self._key = zlib.crc32(role.encode()) - 2**31
        self._connection: Connection | None = None

    def holds(self) -> bool:
        """Say whether this process leads now. A lost connection is a lost lead."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
            return self._try()
        except psycopg.OperationalError as away:
            log.warning("%s: the lead is lost: %s", self._role, str(away).strip(), extra={"away": PART})
            self.close()
            return False

    def close(self) -> None:
        """Give up the lead, so that another process can lead."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self) -> bool:
        where = parameters(self._url) | {
            "autocommit": True,
            "application_name": f"sealward-{self._role}",
            "options": "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2",
        }
        connection: Connection = dial(where)
        log.info("PostgreSQL is back", extra={"back": PART})
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, self._key)).fetchone()
        if row is None or not row[0]:
            connection.close()
            return False
        log.info("this process leads: %s", self._role)
        self._connection = connection
        return True
