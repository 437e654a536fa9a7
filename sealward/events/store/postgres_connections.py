"""Connections to a PostgreSQL server: lent to threads, and opened anew as soon as the server is back.

psycopg_pool (3.3.3) doubles its pause between two attempts to connect: after an outage of two minutes it let
callers wait for up to two minutes more (measured). ADR 82.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from sealward.events.store.store import StoreUnavailable
from sealward.settings import SettingRefused

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

PART: Final = StoreUnavailable.part
AGAIN: Final = 0.25
"""Seconds between two attempts to connect to a server that is away."""
LONGEST_IDLE: Final = 600.0
"""Seconds after which a connection that nobody needed is closed."""
LONGEST_LIFE: Final = 3600.0
"""Seconds after which a connection is closed: the server's process that serves it grows with time."""
NOTICED: Final[dict[str, str]] = {
    "connect_timeout": "5",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""Parameters of libpq by which a host that went without a word is noticed within five seconds. The URL can
name others (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS)."""


class Connection(psycopg.Connection[dict[str, Any]]):
    """A connection in autocommit whose rows are dicts."""

    opened_at: float = 0.0


def parameters(url: str) -> dict[str, Any]:
    """Return the parameters of a URL, with those of `NOTICED` that the URL does not name.

    Raises SettingRefused. libpq's error is not repeated, because it holds the URL with its password.
    """
    try:
        return NOTICED | conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise SettingRefused("SEALWARD_DATABASE_URL: libpq does not know a parameter of the URL") from None


def dial(where: dict[str, Any]) -> Connection:
    """Open a connection with these parameters. Raises psycopg.OperationalError, which names the server."""
    try:
        return Connection.connect(**where)
    except psycopg.OperationalError as failed:
        place = f"{where.get('host') or 'localhost'}:{where.get('port') or 5432}"
        text = f"{place} (SEALWARD_DATABASE_URL): {str(failed).strip()}"
        raise psycopg.OperationalError(text) from failed


@dataclass(slots=True)
class _Outage:
    """The server is away: since when, when it was tried last, and why the last attempt failed."""

    since: float
    tried_at: float
    why: str


class Connections:
    """At most `most` connections, which `connect` opens; a connection is lent to one thread at a time.

    A thread waits for a connection for at most `patience` seconds. Threads that come when the server has been
    away for longer than that do not wait. While the server is away, one thread at a time tries to connect.
    """

    def __init__(self, connect: Callable[[], Connection], most: int, patience: float) -> None:
        self._connect = connect
        self._most = most
        self._patience = patience
        self._changed = threading.Condition()
        self._idle: deque[tuple[float, Connection]] = deque()
        """Connections that wait to be lent, each with the moment when it came back; the latest is last."""
        self._count = 0
        """How many connections there are, including those that a thread is opening."""
        self._outage: _Outage | None = None
        self._tries = False
        """Whether a thread tries to reach the server that is away."""
        self._is_closed = False
        self.opened = 0
        """How many connections were opened so far."""

    def lend(self) -> Connection:
        """Return a connection that the server has not closed. Raises psycopg.OperationalError."""
        end = time.monotonic() + self._patience
        while True:
            found = self._idle_one(end) or self._open()
            if found is not None and not is_closed(found):
                return found
            if found is not None:
                self._drop([found])

    def take_back(self, lent: Connection) -> None:
        """Keep a connection for the next thread, or close it when it is old or unusable.

        When the server has ended it, the idle connections are closed, too: they lead to the same server.
        """
        now = time.monotonic()
        ended = []
        with self._changed:
            if lent.closed or self._is_closed:
                ended = [lent, *self._all_idle()]
            elif not _is_clean(lent) or now - lent.opened_at > LONGEST_LIFE:
                ended = [lent]
            else:
                self._idle.append((now, lent))
                if now - self._idle[0][0] > LONGEST_IDLE:
                    ended = [self._idle.popleft()[1]]
                self._changed.notify()
        if ended:
            self._drop(ended)

    def close(self) -> None:
        """Close all connections; those that are lent when they come back."""
        with self._changed:
            self._is_closed = True
            ended = self._all_idle()
        self._drop(ended)

    def _idle_one(self, end: float) -> Connection | None:
        """Wait for an idle connection; return None when this thread shall open one."""
        with self._changed:
            while True:
                if self._is_closed:
                    raise psycopg.OperationalError("the connections are closed")
                if self._idle:
                    return self._idle.pop()[1]
                if self._may_open():
                    self._count += 1
                    self._tries = self._outage is not None
                    return None
                left = self._until(end) - time.monotonic()
                if left <= 0:
                    raise psycopg.OperationalError(self._why())
                self._changed.wait(min(left, AGAIN))

    def _may_open(self) -> bool:
        if self._outage is None:
            return self._count < self._most
        rested = time.monotonic() - self._outage.tried_at >= AGAIN
        return rested and not self._tries and self._count < self._most

    def _until(self, end: float) -> float:
        """Return until when a thread waits. No connection is coming while there is none and no server."""
        if self._outage is None or self._count > self._tries:
            return end
        return min(end, self._outage.since + self._patience)

    def _why(self) -> str:
        return "all connections are in use" if self._outage is None else self._outage.why

    def _open(self) -> Connection | None:
        """Open a connection in the place that `_idle_one` has reserved; return None if that fails."""
        try:
            opened = self._connect()
        except psycopg.OperationalError as failed:
            self._fail(str(failed).strip())
            return None
        except BaseException:
            with self._changed:
                self._count, self._tries = self._count - 1, False
            raise
        opened.opened_at = time.monotonic()
        with self._changed:
            self.opened += 1
            if self._outage is not None:
                log.info("PostgreSQL is back", extra={"back": PART})
            self._outage, self._tries = None, False
            self._changed.notify_all()
        return opened

    def _fail(self, why: str) -> None:
        log.warning("PostgreSQL is away: %s", why, extra={"away": PART})
        now = time.monotonic()
        with self._changed:
            since = now if self._outage is None else self._outage.since
            self._outage, self._tries = _Outage(since, now, why), False
            self._count -= 1
            self._changed.notify_all()

    def _all_idle(self) -> list[Connection]:
        idle = [one for _, one in self._idle]
        self._idle.clear()
        return idle

    def _drop(self, ended: list[Connection]) -> None:
        for one in ended:
            one.close()
        with self._changed:
            self._count -= len(ended)
            self._changed.notify_all()


def is_closed(idle: Connection) -> bool:
    """Say whether the server has closed an idle connection: its socket is readable then. Costs no query."""
    if idle.closed:
        return True
    socket = select.poll()
    socket.register(idle.fileno(), select.POLLIN)
    return bool(socket.poll(0))


def _is_clean(lent: Connection) -> bool:
    """Say whether no statement or transaction of the last borrower is open."""
    return lent.pgconn.transaction_status == TransactionStatus.IDLE
