"""The mark of a ledger: a file beside the ledger's folder, which shows that an older folder was put back.

The mark has the number of the ledger's last change: a ledger with a lower number was put back. It also has
what a start is decided by beside a verified reference: the newest generations, the policies, and the keys
whose signatures count.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple

from sealward.events.store import sqlite_file
from sealward.events.store.sql import blocks
from sealward.node_agent.ledger.generations import Generations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SQL: Final = blocks("sealward.node_agent.ledger", "ledger.sql") | blocks(
    "sealward.node_agent.ledger", "generations.sql"
)
CHANGE: Final = "change"
"""The name of the fact, in ledger and mark, that counts changes."""
SIGNERS: Final = "signers"


class Newer(NamedTuple):
    """The facts that the mark has of a server, where the ledger was put back: rows as in the ledger."""

    policies: tuple[tuple[str, int | None] | None, ...]
    generation: tuple[int, int] | None
    signers: str


def beside(folder: str) -> str:
    """Return the path of the mark of the ledger in a folder."""
    return f"{os.path.normpath(folder)}-mark.sqlite"


class Mark(Generations):
    """An SQLite file for its owner alone; safe for the threads of one agent."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for table in ("create-policies", "create-facts"):
            self._database.execute(SQL[table])

    def change(self) -> int:
        """Return the number of the last change."""
        with self._lock:
            row = self._database.execute(SQL["fact"], (CHANGE,)).fetchone()
        return 0 if row is None else int(row[0])

    def keep_fact(self, name: str, value: str) -> None:
        """Set the value of a named fact."""
        with self._lock:
            self._database.execute(SQL["keep-fact"], (name, value))

    def keep_policy(self, server_id: str, policy: str, position: int | None) -> None:
        """Keep a policy."""
        with self._lock:
            self._database.execute(SQL["keep-policy"], (server_id, policy, position))

    def forget_policy(self, server_id: str) -> None:
        """Forget the policy of a server."""
        with self._lock:
            self._database.execute(SQL["forget-policy"], (server_id,))

    def replace_policies(self, rows: Iterable[tuple[str, str, int | None]]) -> None:
        """Keep these policies and no others, in one transaction."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(SQL["clear-policies"])
            self._database.executemany(SQL["keep-policy"], rows)


def newer(folder: str, change: int, servers: Iterable[str], server_id: str) -> Newer | None:
    """Return what the mark of a folder knows of a server; None unless its ledger, at `change`, was put back.

    The policies are those of `servers`, in that order. A mark that is missing or unreadable gives None.
    """
    path = beside(folder)
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs more than the decision
        return None
    with contextlib.suppress(sqlite3.Error, ValueError), sqlite_file.reading(path) as mark:
        facts = dict(mark.execute(SQL["all-facts"]).fetchall())
        if int(facts.get(CHANGE, 0)) <= change:
            return None
        policies = tuple(mark.execute(SQL["policy"], (one,)).fetchone() for one in servers)
        return Newer(policies, mark.execute(SQL["newest"], (server_id,)).fetchone(), facts.get(SIGNERS, ""))
    return None
